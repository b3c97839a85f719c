{{/* Fails on invalid values, with a message that says what to change. Takes name, workload. */}}
{{- define "longrun.checkAutoscaling" -}}
{{- $at := printf "workloads.%s" .name -}}
{{- if not (kindIs "invalid" .workload.replicas) -}}
{{- fail (printf "%s.replicas (%d) and %s.autoscaling.enabled exclude each other: leave replicas null, set autoscaling.minReplicas" $at (int .workload.replicas) $at) -}}
{{- end -}}
{{- $min := int .workload.autoscaling.minReplicas -}}
{{- if gt $min (int .workload.autoscaling.maxReplicas) -}}
{{- fail (printf "%s.autoscaling: minReplicas (%d) is more than maxReplicas (%d)" $at $min (int .workload.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if eq .workload.autoscaling.kind "keda" -}}
{{- if not .workload.queues -}}
{{- fail (printf "%s.autoscaling.kind=keda counts the jobs of the workload's queues: set %s.queues, or use kind: hpa" $at $at) -}}
{{- end -}}
{{- if .workload.autoscaling.metrics -}}
{{- fail (printf "%s.autoscaling.metrics is for kind: hpa; keda counts jobs: remove it" $at) -}}
{{- end -}}
{{- else -}}
{{- if lt $min 1 -}}
{{- fail (printf "%s.autoscaling.minReplicas=0: kind: hpa keeps at least 1 pod; use kind: keda to go to 0" $at) -}}
{{- end -}}
{{- if not (or .workload.autoscaling.metrics (dig "requests" "cpu" "" (.workload.resources | default dict))) -}}
{{- fail (printf "%s.autoscaling.cpuUtilization is a share of the requested CPU: set %s.resources.requests.cpu, or %s.autoscaling.metrics" $at $at $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
