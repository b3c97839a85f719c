{{/* The volume of a StatefulSet that keeps nothing. Takes its values. */}}
{{- define "longrun.dataVolume" -}}
{{- if not .persistence.enabled }}
- {name: data, emptyDir: {sizeLimit: {{ .persistence.size }}}}
{{- end }}
{{- end -}}

{{/* The claim of one that keeps its data, also when it is deleted (`helm uninstall`). Takes its values. */}}
{{- define "longrun.dataClaim" -}}
{{- if .persistence.enabled }}
persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata:
      name: data
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .persistence.storageClass }}
      storageClassName: {{ . | quote }}
      {{- end }}
      resources:
        requests: {storage: {{ .persistence.size }}}
{{- end }}
{{- end -}}
