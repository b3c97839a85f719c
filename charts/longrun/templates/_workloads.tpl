{{/*
The enabled workloads by name, each with what it leaves unsaid taken from `workloadDefaults` (a key that it gives
replaces the default's as a whole). Takes root; read it with `include … | fromYaml`.
*/}}
{{- define "longrun.workloads" -}}
{{- $workloads := dict -}}
{{- range $name, $given := .Values.workloads -}}
{{- $workload := dict -}}
{{- range $key, $value := $.Values.workloadDefaults }}{{ $_ := set $workload $key $value }}{{ end -}}
{{- range $key, $value := $given }}{{ $_ := set $workload $key $value }}{{ end -}}
{{- if and $given $workload.enabled }}{{ $_ := set $workloads $name $workload }}{{ end -}}
{{- end -}}
{{- toYaml $workloads -}}
{{- end -}}
