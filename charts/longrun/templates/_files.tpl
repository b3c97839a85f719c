{{/* Where result files are kept, as environment variables of a workload. Takes root. */}}
{{- define "longrun.filesEnv" -}}
{{- with .Values.files -}}
{{- if eq .store "volume" -}}
- name: LONGRUN_FILES
  value: /var/lib/longrun/files
{{- else if eq .store "s3" -}}
{{- if not .s3.bucket }}{{ fail "files.s3.bucket: say which bucket, or set files.store to volume or none" }}{{ end -}}
- name: LONGRUN_FILES
  value: {{ printf "s3://%s/%s" .s3.bucket .s3.prefix | trimSuffix "/" | quote }}
{{- with .s3.region }}
- name: AWS_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .s3.endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- with .s3.existingSecret }}
- name: AWS_ACCESS_KEY_ID
  valueFrom: {secretKeyRef: {name: {{ . }}, key: accessKeyId}}
- name: AWS_SECRET_ACCESS_KEY
  valueFrom: {secretKeyRef: {name: {{ . }}, key: secretAccessKey}}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The volume of result files in a pod, if they are on one. Takes root. */}}
{{- define "longrun.filesVolume" -}}
{{- if eq .Values.files.store "volume" -}}
- name: files
  persistentVolumeClaim:
    claimName: {{ .Values.files.volume.existingClaim | default (include "longrun.name" (dict "root" . "component" "files")) }}
{{- end -}}
{{- end -}}

{{/* true if only pods of one node can use the volume of result files; else empty. Takes root. */}}
{{- define "longrun.filesOnOneNode" -}}
{{- if and (eq .Values.files.store "volume") (eq .Values.files.volume.accessMode "ReadWriteOnce") }}true{{ end -}}
{{- end -}}

{{/* The label of pods that use such a volume. */}}
{{- define "longrun.filesLabel" -}}
longrun/files: one-node
{{- end -}}

{{/* Keeps the pods with such a volume on one node, as the volume itself demands it. Takes root. */}}
{{- define "longrun.filesAffinity" -}}
podAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchLabels:
          {{- include "longrun.releaseLabels" . | nindent 10 }}
          {{- include "longrun.filesLabel" . | nindent 10 }}
{{- end -}}

{{/* An egress rule to the bucket; empty if there is none. Takes root. */}}
{{- define "longrun.egressToFiles" -}}
{{- if eq .Values.files.store "s3" -}}
- to: {{- if .Values.networkPolicy.files.to }}{{ toYaml .Values.networkPolicy.files.to | nindent 4 }}{{ else }}{{ include "longrun.internet" . | nindent 4 }}{{ end }}
  ports: [{port: {{ int .Values.networkPolicy.files.port }}}]
{{- end -}}
{{- end -}}
