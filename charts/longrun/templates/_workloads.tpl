{{/*
The enabled workloads by name, each with what it leaves unsaid taken from `workloadDefaults`. A key that it gives
replaces the default's as a whole; of those that are sections of their own it replaces what it names.
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

{{/* One map over another, key by key and no deeper (as mergeOverwrite would go). Takes under, over. */}}
{{- define "longrun.overlaid" -}}
{{- $both := dict -}}
{{- range $map := list (.under | default dict) (.over | default dict) -}}
{{- range $key, $value := $map }}{{ $_ := set $both $key $value }}{{ end -}}
{{- end -}}
{{- toYaml $both -}}
{{- end -}}
