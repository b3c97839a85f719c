{{/* Checksums of what workloads read at their start, so that a change restarts their pods. Each takes root. */}}
{{- define "longrun.configChecksum" -}}
{{- list .Values.config (include "longrun.collectorConfig" .) | toJson | sha256sum -}}
{{- end -}}

{{- define "longrun.secretsChecksum" -}}
{{- $made := and .Values.postgres.enabled (not .Values.postgres.auth.existingSecret) -}}
{{- $database := include "longrun.secretChecksum" (dict "root" . "secret" (include "longrun.databaseSecret" .) "made" $made) -}}
{{- $others := list (include "longrun.redisChecksum" .) (include "longrun.authChecksum" .) (include "longrun.secretKeysChecksum" .) -}}
{{- join " " (prepend $others $database) | sha256sum -}}
{{- end -}}

{{- define "longrun.redisChecksum" -}}
{{- $made := and .Values.redis.enabled (not .Values.redis.auth.existingSecret) -}}
{{- include "longrun.secretChecksum" (dict "root" . "secret" (include "longrun.redisSecret" .) "made" $made) -}}
{{- end -}}

{{- define "longrun.authChecksum" -}}
{{- if include "longrun.asksForKeys" . -}}
{{- if .Values.auth.existingSecret -}}
{{- include "longrun.secretChecksum" (dict "root" . "secret" .Values.auth.existingSecret) -}}
{{- else -}}
{{- include "longrun.bootstrapKey" . | sha256sum -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "longrun.secretKeysChecksum" -}}
{{- if .Values.secretKeys.existingSecret -}}
{{- include "longrun.secretChecksum" (dict "root" . "secret" .Values.secretKeys.existingSecret) -}}
{{- else -}}
{{- include "longrun.secretKeys" . | sha256sum -}}
{{- end -}}
{{- end -}}

{{/* The checksum of a Secret, if it can be read. Takes root, secret, made (whether this chart creates it). */}}
{{- define "longrun.secretChecksum" -}}
{{- if .made -}}
{{- include "longrun.password" . | sha256sum -}}
{{- else -}}
{{- lookup "v1" "Secret" .root.Release.Namespace .secret | dig "data" dict | toJson | sha256sum -}}
{{- end -}}
{{- end -}}
