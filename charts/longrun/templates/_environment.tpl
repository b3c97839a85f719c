{{/* A string, number or boolean as text; Helm itself would render 1000000 as 1e+06. */}}
{{- define "longrun.plain" -}}
{{- if kindIs "string" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}

{{/* The same, quoted for YAML. */}}
{{- define "longrun.text" -}}
{{- include "longrun.plain" . | quote -}}
{{- end -}}

{{/* The identity of a pod in traces and metrics. Takes root, name, version. */}}
{{- define "longrun.identityEnv" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- name: NODE
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
- name: OTEL_SERVICE_NAME
  value: longrun-{{ .name }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: service.version={{ .version }},k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE),k8s.node.name=$(NODE)
{{- if .root.Values.collector.enabled }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: http://localhost:4317
{{- end }}
{{- end -}}

{{/* The environment that the chart sets in a workload's container. Takes root, name, version, workload. */}}
{{- define "longrun.chartEnv" -}}
{{ include "longrun.databaseEnv" .root }}
{{ include "longrun.redisEnv" .root }}
- name: LONGRUN_SECRET_KEYS
  valueFrom:
    secretKeyRef:
      name: {{ include "longrun.secretKeysSecret" .root }}
      key: keys
{{ include "longrun.identityEnv" . }}
{{- with include "longrun.filesEnv" .root }}
{{ . }}
{{- end }}
{{- with .workload.queues }}
- name: LONGRUN_QUEUES
  value: {{ join "," . | quote }}
{{- end }}
{{- if .workload.port }}
- name: LONGRUN_AUTH
  value: {{ .root.Values.auth.mode }}
{{- with include "longrun.oidcEnv" .root }}
{{ . }}
{{- end }}
{{- with include "longrun.keyEnv" (dict "root" .root "name" "LONGRUN_BOOTSTRAP_KEY") }}
{{ . }}
{{- end }}
- name: LONGRUN_ALLOWED_HOSTS
  value: {{ include "longrun.allowedHosts" . | quote }}
{{- with .root.Values.rootPath }}
- name: LONGRUN_ROOT_PATH
  value: {{ . | quote }}
{{- end }}
{{- else }}
- name: LONGRUN_DRAIN_S
  value: {{ include "longrun.text" .workload.drainSeconds }}
{{- if .root.Values.flower.enabled }}
- name: LONGRUN_REMOTE_CONTROL
  value: "true"
{{- end }}
{{- end }}
{{- if .workload.podDeletionCost.enabled }}
- name: LONGRUN_POD_DELETION_COST
  value: "true"
{{- end }}
{{- end -}}

{{/* The host names of a workload with a port: of its Service, of the routes, and `allowedHosts`. Takes root, name. */}}
{{- define "longrun.allowedHosts" -}}
{{- $service := include "longrun.name" (dict "root" .root "component" .name) -}}
{{- $host := include "longrun.host" (dict "root" .root "component" .name) -}}
{{- $names := list $service (printf "%s.%s" $service .root.Release.Namespace) $host (printf "%s.cluster.local" $host) -}}
{{- with .root.Values.ingress }}{{ if .enabled }}{{ $names = append $names .host }}{{ end }}{{ end -}}
{{- with .root.Values.httpRoute }}{{ if .enabled }}{{ $names = concat $names .hostnames }}{{ end }}{{ end -}}
{{- concat $names .root.Values.allowedHosts | uniq | join "," -}}
{{- end -}}

{{/* The same with the user's entries, which replace those of the chart: Kubernetes refuses duplicate names. */}}
{{- define "longrun.workloadEnv" -}}
{{- $given := list -}}
{{- range $name, $value := .workload.env }}{{ $given = append $given (dict "name" $name "value" (include "longrun.plain" $value)) }}{{ end -}}
{{- $given = concat $given .workload.extraEnv -}}
{{- $names := list -}}
{{- range $given }}{{ $names = append $names .name }}{{ end -}}
{{- $kept := list -}}
{{- range include "longrun.chartEnv" . | fromYamlArray }}{{ if not (has .name $names) }}{{ $kept = append $kept . }}{{ end }}{{ end -}}
{{- concat $kept $given | toYaml -}}
{{- end -}}
