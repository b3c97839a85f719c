{{/* Select the pods of these components. Takes root, components. */}}
{{- define "longrun.podsOf" -}}
podSelector:
  matchLabels: {{- include "longrun.releaseLabels" .root | nindent 4 }}
  matchExpressions:
    - {key: app.kubernetes.io/component, operator: In, values: {{ toJson .components }}}
{{- end -}}

{{/* The labels that all pods of the release share. Takes root. */}}
{{- define "longrun.releaseLabels" -}}
{{- omit (include "longrun.selectorLabels" (dict "root" . "component" "any") | fromYaml) "app.kubernetes.io/component" | toYaml -}}
{{- end -}}

{{/* The names of all enabled workloads, as a JSON list under `names`. Takes root. */}}
{{- define "longrun.workloadNames" -}}
{{- dict "names" (include "longrun.workloads" . | fromYaml | keys | sortAlpha) | toJson -}}
{{- end -}}

{{/* An egress rule to PostgreSQL or Redis, of this release or external. Takes root, store, port (of this release's). */}}
{{- define "longrun.egressToStore" -}}
{{- $external := get .root.Values.networkPolicy .store -}}
{{- if (get .root.Values .store).enabled -}}
- to:
    - {{- include "longrun.podsOf" (dict "root" .root "components" (list .store)) | nindent 6 }}
  ports: [{port: {{ .port }}}]
{{- else if $external.to -}}
- to: {{- toYaml $external.to | nindent 4 }}
  ports: [{port: {{ int $external.port }}}]
{{- else -}}
{{- fail (printf "networkPolicy.%s.to: with %s.enabled=false say where it is, like [{ipBlock: {cidr: 10.1.2.3/32}}], or set networkPolicy.enabled=false" .store .store) -}}
{{- end -}}
{{- end -}}

{{/* An egress rule to the receiver of traces; empty if there is none. Takes root. */}}
{{- define "longrun.egressToTraces" -}}
{{- if .Values.collector.enabled -}}
{{- if .Values.collector.tracesEndpoint -}}
{{- if not .Values.networkPolicy.traces.to -}}
{{- fail "networkPolicy.traces.to: say where collector.tracesEndpoint is, like [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: tracing}}}], or set networkPolicy.enabled=false" -}}
{{- end -}}
- to: {{- toYaml .Values.networkPolicy.traces.to | nindent 4 }}
  ports: [{port: {{ int .Values.networkPolicy.traces.port }}}]
{{- else if .Values.jaeger.enabled -}}
- to:
    - {{- include "longrun.podsOf" (dict "root" . "components" (list "jaeger")) | nindent 6 }}
  ports: [{port: 4317}]
{{- end -}}
{{- end -}}
{{- end -}}

{{/* An egress rule to the addresses of the API server, because most policy engines ignore its Service. Takes root. */}}
{{- define "longrun.egressToApiServer" -}}
{{- $given := .Values.networkPolicy.apiServer -}}
{{- $to := $given.to -}}
{{- if not $to -}}
{{- range (lookup "discovery.k8s.io/v1" "EndpointSlice" "default" "kubernetes").endpoints -}}
{{- range .addresses -}}
{{- $to = append $to (dict "ipBlock" (dict "cidr" (printf "%s/%s" . (contains ":" . | ternary "128" "32")))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $to -}}
{{- fail "networkPolicy.apiServer.to: podDeletionCost needs the API server, and its address cannot be looked up here: take it from `kubectl get endpointslices kubernetes`, like [{ipBlock: {cidr: 172.18.0.2/32}}]" -}}
{{- end -}}
- to: {{- toYaml $to | nindent 4 }}
  ports: [{port: {{ int $given.port }}}]
{{- end -}}
