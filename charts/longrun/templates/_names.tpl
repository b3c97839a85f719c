{{/* The prefix of the names of all objects: the release's name, with the chart's name added if it lacks it. */}}
{{- define "longrun.fullname" -}}
{{- $chart := .Values.nameOverride | default .Chart.Name -}}
{{- $release := ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) -}}
{{- .Values.fullnameOverride | default $release | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of a component's objects. Takes (dict "root" $ "component" "worker"). */}}
{{- define "longrun.name" -}}
{{- printf "%s-%s" (include "longrun.fullname" .root) .component | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* The full host name of a component's Service, because KEDA queries it from another namespace. Takes root, component. */}}
{{- define "longrun.host" -}}
{{- printf "%s.%s.svc" (include "longrun.name" .) .root.Release.Namespace -}}
{{- end -}}

{{/* The selector of a component's pods. It must never change, because selectors are immutable. Takes root, component. */}}
{{- define "longrun.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Values.nameOverride | default .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Labels of pods. `version` is that of their image and not of the chart, so that a new chart does not restart databases. Takes root, component, version. */}}
{{- define "longrun.podLabels" -}}
{{ include "longrun.selectorLabels" . }}
app.kubernetes.io/version: {{ splitList "@" .version | first | trunc 63 | quote }}
app.kubernetes.io/part-of: longrun
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{/* Labels of all other objects. Takes root, component. */}}
{{- define "longrun.labels" -}}
{{ include "longrun.podLabels" (set (omit . "version") "version" (include "longrun.version" .root)) }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name (replace "+" "_" .root.Chart.Version) }}
{{- end -}}

{{/* The version of Longrun that runs: the tag of its images without a digest. */}}
{{- define "longrun.version" -}}
{{- .Values.global.image.tag | default .Chart.AppVersion | splitList "@" | first -}}
{{- end -}}

{{/* The port of the API's Service. Takes root. */}}
{{- define "longrun.apiPort" -}}
{{- $api := get (include "longrun.workloads" . | fromYaml) "api" | default dict -}}
{{- dig "service" "port" 80 $api -}}
{{- end -}}
