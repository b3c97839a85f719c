{{/*
The enabled workloads by name, with the defaults from `workloadDefaults`. A key of a workload replaces the default as a
whole, except that the sections among the defaults are merged key by key.
Takes root; read it with `include … | fromYaml`.
*/}}
{{- define "longrun.workloads" -}}
{{- $sections := list "autoscaling" "pdb" "podDeletionCost" "egress" "service" -}}
{{- $workloads := dict -}}
{{- range $name, $given := .Values.workloads -}}
{{- $workload := include "longrun.overlaid" (dict "under" $.Values.workloadDefaults "over" $given) | fromYaml -}}
{{- range $section := $sections -}}
{{- $_ := set $workload $section (include "longrun.overlaid" (dict "under" (get $.Values.workloadDefaults $section) "over" (get ($given | default dict) $section)) | fromYaml) -}}
{{- end -}}
{{- if and $given $workload.enabled }}{{ $_ := set $workloads $name $workload }}{{ end -}}
{{- end -}}
{{- toYaml $workloads -}}
{{- end -}}

{{/* Merge two maps key by key, but not deeply, unlike mergeOverwrite. Takes under, over. */}}
{{- define "longrun.overlaid" -}}
{{- $both := dict -}}
{{- range $map := list (.under | default dict) (.over | default dict) -}}
{{- range $key, $value := $map }}{{ $_ := set $both $key $value }}{{ end -}}
{{- end -}}
{{- toYaml $both -}}
{{- end -}}
