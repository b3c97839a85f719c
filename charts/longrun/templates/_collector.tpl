{{/* The collector of a workload: a native sidecar, which starts before the workload and ends after it. Takes root. */}}
{{- define "longrun.collectorContainer" -}}
name: otel-collector
{{ include "longrun.containerImage" (dict "root" . "image" .Values.collector.image) }}
restartPolicy: Always
args: [--config=/etc/longrun/collector.yaml]
ports:
  - {name: metrics, containerPort: 8889}
  - {name: health, containerPort: 13133}
startupProbe:
  httpGet: {path: /, port: health}
  periodSeconds: 1
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /, port: health}
  timeoutSeconds: 5
resources: {{- toYaml .Values.collector.resources | nindent 2 }}
securityContext: {{- include "longrun.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: collector, mountPath: /etc/longrun, readOnly: true}
{{- end -}}

{{/* The receiver of traces as host:port; empty if there is none. Takes root. */}}
{{- define "longrun.tracesEndpoint" -}}
{{- if .Values.collector.tracesEndpoint -}}
{{- .Values.collector.tracesEndpoint -}}
{{- else if .Values.jaeger.enabled -}}
{{- include "longrun.host" (dict "root" . "component" "jaeger") }}:4317
{{- end -}}
{{- end -}}
