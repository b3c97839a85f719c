{{/* What the collectors do: OTLP in; traces to Jaeger, metrics for Prometheus to fetch. Takes root. */}}
{{- define "longrun.collectorConfig" -}}
{{- $traces := include "longrun.tracesEndpoint" . -}}
extensions:
  health_check:
    endpoint: ":13133"
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: localhost:4317
      http:
        endpoint: localhost:4318
processors:
  # First in every pipeline: over the limit it refuses, and the services drop what they cannot send.
  memory_limiter:
    check_interval: 1s
    limit_percentage: 75
    spike_limit_percentage: 20
  batch:
    timeout: 1s
    send_batch_size: 512
    send_batch_max_size: 2048
exporters:
  prometheus:
    endpoint: ":8889"
    # a former leader's gauges go soon; what lives is sent every 15 s
    metric_expiration: 1m
    resource_to_telemetry_conversion:
      enabled: true
  {{- if $traces }}
  otlp_grpc:
    endpoint: {{ $traces }}
    tls:
      insecure: {{ not .Values.collector.tracesTls }}
    sending_queue:
      queue_size: 200
    retry_on_failure:
      max_elapsed_time: 60s
  {{- else }}
  nop: {}
  {{- end }}
service:
  extensions: [health_check]
  telemetry:
    logs:
      level: warn
    metrics:
      level: none
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [{{ ternary "otlp_grpc" "nop" (not (empty $traces)) }}]
    metrics:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [prometheus]
{{- end -}}
