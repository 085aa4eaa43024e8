{{/* Names and labels. Selectors are the same in both modes, so that an installation may change its mode. */}}

{{- define "drift-monitor.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "drift-monitor.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Values.fullnameOverride | default (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) -}}
{{- $full | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* A name with a suffix, at most so long; what is cut off lives on in a hash. (dict "context" $ "suffix" "x" "limit" 63) */}}
{{- define "drift-monitor.named" -}}
{{- $full := include "drift-monitor.fullname" .context -}}
{{- $room := sub .limit (add (len .suffix) 1) | int -}}
{{- if gt (len $full) $room -}}
{{- $full = printf "%s-%s" ($full | trunc (sub $room 7 | int) | trimSuffix "-") (sha256sum $full | trunc 6) -}}
{{- end -}}
{{- printf "%s-%s" $full .suffix -}}
{{- end -}}

{{- define "drift-monitor.selector" -}}
app.kubernetes.io/name: {{ include "drift-monitor.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "drift-monitor.labels" -}}
{{- include "drift-monitor.labelsWith" (dict "context" . "extra" dict) -}}
{{- end -}}

{{/* The labels of an object, with further ones that win over the common ones. (dict "context" $ "extra" .labels) */}}
{{- define "drift-monitor.labelsWith" -}}
{{- with .context -}}
{{- $own := include "drift-monitor.selector" . | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_")) -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- toYaml (mergeOverwrite $own .Values.commonLabels $.extra) -}}
{{- end -}}
{{- end -}}

{{- define "drift-monitor.account" -}}
{{- .Values.serviceAccount.name | default (ternary (include "drift-monitor.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "drift-monitor.claim" -}}
{{- .Values.persistence.existingClaim | default (include "drift-monitor.named" (dict "context" . "suffix" "data" "limit" 63)) -}}
{{- end -}}

{{- define "drift-monitor.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- with .Values.image.digest }}{{ printf "%s@%s" $.Values.image.repository . }}{{ else }}{{ printf "%s:%s" $.Values.image.repository $tag }}{{ end -}}
{{- end -}}
