{{/*
Probes of a workload: HTTP if it has a port, otherwise the age of the heartbeat file. `probes` replaces each of them.
Only the readiness probe over HTTP depends on the database. Takes the workload.
*/}}
{{- define "longrun.probes" -}}
{{- $defaults := include (ternary "longrun.httpProbes" "longrun.heartbeatProbes" (not (empty .port))) . | fromYaml -}}
{{- range $kind := list "startup" "liveness" "readiness" }}
{{- with get $.probes $kind | default (get $defaults $kind) }}
{{ $kind }}Probe: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "longrun.httpProbes" -}}
startup:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 1
  failureThreshold: 60
liveness:
  httpGet: {path: /healthz, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
readiness:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}

{{- define "longrun.heartbeatProbes" -}}
startup:
  exec: {command: [sh, -c, 'test -e "$LONGRUN_HEARTBEAT_FILE"']}
  periodSeconds: 1
  failureThreshold: 120
liveness:
  exec: {command: [sh, -c, 'test -n "$(find "$LONGRUN_HEARTBEAT_FILE" -newermt "30 seconds ago")"']}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end -}}
