{{/* The volume of a StatefulSet without persistence. Takes its values. */}}
{{- define "longrun.dataVolume" -}}
{{- if not .persistence.enabled }}
- {name: data, emptyDir: {sizeLimit: {{ .persistence.size }}}}
{{- end }}
{{- end -}}

{{/* The claim of a StatefulSet with persistence, which `helm uninstall` keeps. Takes its values. */}}
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
