{{/* The part that dumps and restores share: the image and URL of PostgreSQL, and the volume. Takes root. */}}
{{- define "longrun.backupContainer" -}}
{{ include "longrun.containerImage" (dict "root" . "image" (.Values.backup.image | default .Values.postgres.image)) }}
env:
  {{- include "longrun.databaseEnv" . | nindent 2 }}
  - {name: KEEP, value: {{ .Values.backup.keep | quote }}}
resources: {{- toYaml .Values.backup.resources | nindent 2 }}
securityContext: {{- include "longrun.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: backups, mountPath: /backups}
  - {name: scripts, mountPath: /scripts, readOnly: true}
  - {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* Takes root. */}}
{{- define "longrun.backupPod" -}}
{{ include "longrun.podBasics" (dict "root" .) }}
restartPolicy: Never
securityContext: {{- include "longrun.podSecurity" (dict "uid" 999) | nindent 2 }}
volumes:
  - name: backups
    persistentVolumeClaim:
      claimName: {{ .Values.backup.persistence.existingClaim | default (include "longrun.name" (dict "root" . "component" "backup")) }}
  - name: scripts
    configMap: {name: {{ include "longrun.name" (dict "root" . "component" "backup") }}}
  - {name: tmp, emptyDir: {sizeLimit: 64Mi}}
{{- end -}}

{{/* Takes root. */}}
{{- define "longrun.dumpPod" -}}
{{ include "longrun.backupPod" . }}
containers:
  - name: backup
    command: [bash, /scripts/backup.sh]
    {{- include "longrun.backupContainer" . | nindent 4 }}
{{- end -}}
