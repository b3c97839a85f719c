{{/* The Deployment of a workload. Takes root, name, workload. */}}
{{- define "longrun.deployment" -}}
{{- $root := .root -}}
{{- $w := .workload -}}
{{- $component := dict "root" $root "component" .name -}}
{{- $version := $w.image.tag | default (include "longrun.version" $root) | splitList "@" | first -}}
{{- include "longrun.checkDrain" . -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "longrun.name" $component }}
  labels: {{- include "longrun.labels" $component | nindent 4 }}
spec:
  {{- if not (or (kindIs "invalid" $w.replicas) $w.autoscaling.enabled) }}
  replicas: {{ $w.replicas }}
  {{- end }}
  strategy: {{- toYaml $w.strategy | nindent 4 }}
  selector:
    matchLabels: {{- include "longrun.selectorLabels" $component | nindent 6 }}
  template:
    metadata:
      labels: {{- include "longrun.podLabels" (set $component "version" $version) | nindent 8 }}
        {{- if include "longrun.filesOnOneNode" $root }}{{ include "longrun.filesLabel" . | nindent 8 }}{{ end }}
        {{- with $w.podLabels }}{{ toYaml . | nindent 8 }}{{ end }}
      annotations:
        checksum/config: {{ include "longrun.configChecksum" $root }}
        checksum/secrets: {{ include "longrun.secretsChecksum" $root }}
        {{- with $w.podAnnotations }}{{ toYaml . | nindent 8 }}{{ end }}
    spec:
      {{- include "longrun.podBasics" (dict "root" $root "token" $w.podDeletionCost.enabled) | nindent 6 }}
      serviceAccountName: {{ include "longrun.name" $component }}
      securityContext: {{- include "longrun.podSecurity" dict | nindent 8 }}
      terminationGracePeriodSeconds: {{ $w.terminationGracePeriodSeconds }}
      {{- include "longrun.placement" (dict "from" $w) | nindent 6 }}
      {{- if and (not $w.affinity) (include "longrun.filesOnOneNode" $root) }}
      affinity: {{- include "longrun.filesAffinity" $root | nindent 8 }}
      {{- end }}
      topologySpreadConstraints:
        {{- if $w.topologySpread }}
        {{- toYaml $w.topologySpread | nindent 8 }}
        {{- else }}
        - topologyKey: kubernetes.io/hostname
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "longrun.selectorLabels" $component | nindent 14 }}
        {{- end }}
      initContainers:
        - {{- include "longrun.waitForSchema" . | nindent 10 }}
        {{- if $root.Values.collector.enabled }}
        - {{- include "longrun.collectorContainer" $root | nindent 10 }}
        {{- end }}
      containers:
        - name: {{ .name }}
          {{- include "longrun.containerImage" (dict "root" $root "image" $w.image) | nindent 10 }}
          {{- with $w.command }}
          command: {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with $w.args }}
          args: {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with $w.port }}
          ports:
            - {name: http, containerPort: {{ . }}}
          {{- end }}
          envFrom:
            - configMapRef: {name: {{ include "longrun.name" (dict "root" $root "component" "config") }}}
            {{- with $w.extraEnvFrom }}{{ toYaml . | nindent 12 }}{{ end }}
          env: {{- include "longrun.workloadEnv" (set . "version" $version) | nindent 12 }}
          {{- include "longrun.probes" $w | trim | nindent 10 }}
          {{- with $w.preStopSeconds }}
          lifecycle:
            preStop:
              exec: {command: [sleep, {{ . | quote }}]}
          {{- end }}
          resources: {{- toYaml $w.resources | nindent 12 }}
          securityContext: {{- include "longrun.containerSecurity" . | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if eq $root.Values.files.store "volume" }}
            - {name: files, mountPath: /var/lib/longrun/files}
            {{- end }}
            {{- with $w.extraVolumeMounts }}{{ toYaml . | nindent 12 }}{{ end }}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: {{ $w.tmpSize }}}
        {{- with include "longrun.filesVolume" $root }}{{ . | nindent 8 }}{{ end }}
        {{- if $root.Values.collector.enabled }}
        - name: collector
          configMap: {name: {{ include "longrun.name" (dict "root" $root "component" "collector") }}}
        {{- end }}
        {{- with $w.extraVolumes }}{{ toYaml . | nindent 8 }}{{ end }}
{{- end -}}

{{/* The init container that waits until the database has the schema of this version. Takes root, workload. */}}
{{- define "longrun.waitForSchema" -}}
name: wait-for-schema
{{ include "longrun.containerImage" (dict "root" .root "image" .workload.image) }}
command: [python, -m, jobcore.migrations, wait, --timeout, {{ .root.Values.migrations.timeoutSeconds | quote }}]
env: {{- include "longrun.databaseEnv" .root | nindent 2 }}
resources: {{- toYaml .root.Values.migrations.resources | nindent 2 }}
securityContext: {{- include "longrun.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* Fails if the grace period is shorter than a drain: Kubernetes would kill the worker and lose its runs. Takes name,
workload. */}}
{{- define "longrun.checkDrain" -}}
{{- with .workload -}}
{{- $needed := add .drainSeconds (.preStopSeconds | default 0) 30 | int -}}
{{- if and (not .port) (lt (int .terminationGracePeriodSeconds) $needed) -}}
{{- fail (printf "workloads.%s.terminationGracePeriodSeconds (%d) must be at least %d: drainSeconds (%d) + preStopSeconds (%d) + 30 for the worker to let go; raise it or lower drainSeconds" $.name (int .terminationGracePeriodSeconds) $needed (int .drainSeconds) (int (.preStopSeconds | default 0))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
