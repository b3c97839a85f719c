{{/* The name of the Secret with the URL of PostgreSQL, key `url`. */}}
{{- define "longrun.databaseSecret" -}}
{{- if .Values.postgres.enabled -}}
{{- .Values.postgres.auth.existingSecret | default (include "longrun.name" (dict "root" . "component" "postgres")) -}}
{{- else -}}
{{- required "postgres.external.existingSecret: with postgres.enabled=false, name a Secret whose key `url` is postgresql://user:password@host:5432/name" .Values.postgres.external.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* The name of the Secret with the URL of Redis, key `url`. */}}
{{- define "longrun.redisSecret" -}}
{{- if .Values.redis.enabled -}}
{{- .Values.redis.auth.existingSecret | default (include "longrun.name" (dict "root" . "component" "redis")) -}}
{{- else -}}
{{- required "redis.external.existingSecret: with redis.enabled=false, name a Secret whose key `url` is redis://:password@host:6379/0" .Values.redis.external.existingSecret -}}
{{- end -}}
{{- end -}}

{{/* The schema that holds Longrun's tables. */}}
{{- define "longrun.schema" -}}
{{- .Values.config.LONGRUN_SCHEMA | default "longrun" -}}
{{- end -}}

{{/* Where Longrun's tables are. */}}
{{- define "longrun.databaseEnv" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "longrun.databaseSecret" . }}
      key: url
- name: LONGRUN_SCHEMA
  value: {{ include "longrun.schema" . }}
{{- end -}}

{{- define "longrun.redisEnv" -}}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "longrun.redisSecret" . }}
      key: url
{{- end -}}

{{/*
The password for a Secret of this chart: that in the cluster, or else a new one, which is the same in the whole rendering.
Takes root, secret (its name).
*/}}
{{- define "longrun.password" -}}
{{- $made := .root.Values.madePasswords | default dict -}}
{{- if not (hasKey $made .secret) -}}
{{- $found := lookup "v1" "Secret" .root.Release.Namespace .secret -}}
{{- $_ := set $made .secret (dig "data" "password" "" $found | b64dec | default (randAlphaNum 32)) -}}
{{- $_ := set .root.Values "madePasswords" $made -}}
{{- end -}}
{{- get $made .secret -}}
{{- end -}}

{{/* Not empty if the API accepts API keys. Takes root. */}}
{{- define "longrun.asksForKeys" -}}
{{- if has "keys" (splitList "," .Values.auth.mode) }}true{{ end -}}
{{- end -}}

{{/* Not empty if the API accepts the tokens of an OpenID provider. Takes root. */}}
{{- define "longrun.asksForTokens" -}}
{{- if has "oidc" (splitList "," .Values.auth.mode) }}true{{ end -}}
{{- end -}}

{{/* The variables of the OpenID provider; empty without one. Takes root. */}}
{{- define "longrun.oidcEnv" -}}
{{- if include "longrun.asksForTokens" . -}}
{{- with .Values.auth.oidc -}}
{{- if not (and .issuer .audience) -}}
{{- fail "auth.oidc: with auth.mode=oidc name the issuer of the tokens, and the audience that they have in their claim aud" -}}
{{- end -}}
- name: LONGRUN_OIDC_ISSUER
  value: {{ .issuer | quote }}
- name: LONGRUN_OIDC_AUDIENCE
  value: {{ join "," .audience | quote }}
{{- if .clientId }}
{{- if not .publicUrl -}}
{{- fail "auth.oidc: with a clientId set publicUrl, to which the provider leads browsers back" -}}
{{- end }}
- name: LONGRUN_OIDC_CLIENT_ID
  value: {{ .clientId | quote }}
- name: LONGRUN_PUBLIC_URL
  value: {{ .publicUrl | quote }}
{{- with .clientExistingSecret }}
- name: LONGRUN_OIDC_CLIENT_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: client-secret
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name of the Secret with the first admin key, key `key`. */}}
{{- define "longrun.authSecret" -}}
{{- .Values.auth.existingSecret | default (include "longrun.name" (dict "root" . "component" "bootstrap-key")) -}}
{{- end -}}

{{/*
The first admin key: that in the cluster, or else a new one, which is the same in the whole rendering. Its form is that
of jobcore.models.api_keys: the end is a checksum.
*/}}
{{- define "longrun.bootstrapKey" -}}
{{- $secret := include "longrun.authSecret" . -}}
{{- $made := .Values.madePasswords | default dict -}}
{{- if not (hasKey $made $secret) -}}
{{- $found := lookup "v1" "Secret" .Release.Namespace $secret -}}
{{- $text := printf "lr_%s_%s" (randAlphaNum 12) (randAlphaNum 43) -}}
{{- $new := printf "%s%s" $text (sha256sum $text | trunc 8) -}}
{{- $_ := set $made $secret (dig "data" "key" "" $found | b64dec | default $new) -}}
{{- $_ := set .Values "madePasswords" $made -}}
{{- end -}}
{{- get $made $secret -}}
{{- end -}}

{{/* A variable with that key; nothing unless the API asks for keys. Takes root, name. */}}
{{- define "longrun.keyEnv" -}}
{{- if include "longrun.asksForKeys" .root -}}
- name: {{ .name }}
  valueFrom:
    secretKeyRef:
      name: {{ include "longrun.authSecret" .root }}
      key: key
{{- end -}}
{{- end -}}

{{/* The name of the Secret with the keys that encrypt inputs with secrets, key `keys`. Takes root. */}}
{{- define "longrun.secretKeysSecret" -}}
{{- .Values.secretKeys.existingSecret | default (include "longrun.name" (dict "root" . "component" "secret-keys")) -}}
{{- end -}}

{{/*
Those keys: those in the cluster, or else a new one, which is the same in the whole rendering. Its form is that of
jobcore.sealing.keys. Takes root.
*/}}
{{- define "longrun.secretKeys" -}}
{{- $secret := include "longrun.secretKeysSecret" . -}}
{{- $made := .Values.madePasswords | default dict -}}
{{- if not (hasKey $made $secret) -}}
{{- $found := lookup "v1" "Secret" .Release.Namespace $secret -}}
{{- $new := randBytes 32 | replace "+" "-" | replace "/" "_" -}}
{{- $_ := set $made $secret (dig "data" "keys" "" $found | b64dec | default $new) -}}
{{- $_ := set .Values "madePasswords" $made -}}
{{- end -}}
{{- get $made $secret -}}
{{- end -}}

{{/* Fails instead of creating a new password for a database that already has one. Takes root. */}}
{{- define "longrun.checkPassword" -}}
{{- $secret := include "longrun.databaseSecret" . -}}
{{- $claim := printf "data-%s-0" $secret -}}
{{- $volume := lookup "v1" "PersistentVolumeClaim" .Release.Namespace $claim -}}
{{- if and $volume (not (lookup "v1" "Secret" .Release.Namespace $secret)) -}}
{{- fail (printf "the volume claim %s holds a database, but the Secret %s with its password is gone: restore the Secret, name one that has it in postgres.auth.existingSecret, or delete the claim and all its jobs" $claim $secret) -}}
{{- end -}}
{{- end -}}
