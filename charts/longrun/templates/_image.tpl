{{/*
The full reference of an image. Takes (dict "root" $ "image" .Values.x.image).
`image.name` is one of Longrun's own images; others have a `repository`.
*/}}
{{- define "longrun.image" -}}
{{- $global := .root.Values.global -}}
{{- $image := .image -}}
{{- $own := dict -}}
{{- if $image.name -}}
{{- $own = dict "registry" $global.image.registry "repository" (printf "%s/%s" $global.image.repository $image.name) "tag" ($global.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- $registry := $image.registry | default $own.registry | default $global.imageRegistry -}}
{{- $repository := $image.repository | default $own.repository -}}
{{- $tag := $image.tag | default $own.tag -}}
{{- if not $repository -}}
{{- fail (printf "an image needs `name` (one of Longrun's own) or `repository`; given: %s" (toJson $image)) -}}
{{- end -}}
{{- if not (or $tag $image.digest) -}}
{{- fail (printf "image %s needs a `tag` or a `digest`" $repository) -}}
{{- end -}}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $repository }}
{{- with $tag }}:{{ . }}{{ end }}
{{- with $image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{/* `image` and `imagePullPolicy` of a container. Takes root, image. */}}
{{- define "longrun.containerImage" -}}
image: {{ include "longrun.image" . | quote }}
imagePullPolicy: {{ .image.pullPolicy | default .root.Values.global.image.pullPolicy }}
{{- end -}}

{{/* The image of migrations and tests: that of the API unless they set one. Takes root, image. */}}
{{- define "longrun.apiImage" -}}
{{- $api := dig "api" "image" (dict "name" "api") .root.Values.workloads -}}
{{- include "longrun.containerImage" (dict "root" .root "image" (.image | default $api)) -}}
{{- end -}}
