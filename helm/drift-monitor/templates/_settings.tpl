{{/* The settings file: config from the values, with what only the chart knows. */}}
{{- define "drift-monitor.settings" -}}
{{- $config := deepCopy .Values.config -}}
{{- $store := $config.store | default dict -}}
{{- if kindIs "string" $store }}{{ $store = dict "url" $store }}{{ end -}}
{{- with .Values.secrets.database }}{{ if .name }}{{ $_ := set $store "password_file" (printf "/run/secrets/%s/%s" .name .key) }}{{ end }}{{ end -}}
{{- if $store }}{{ $_ := set $config "store" $store }}{{ end -}}
{{- $serve := $config.serve | default dict -}}
{{- if not (hasKey $serve "host") }}{{ $_ := set $serve "host" "0.0.0.0" }}{{ end -}}
{{- with .Values.secrets.auth }}{{ if .name }}{{ $_ := set $serve "auth_file" (printf "/run/secrets/%s/%s" .name .key) }}{{ end }}{{ end -}}
{{- with .Values.secrets.tls }}{{ if .name -}}
{{- $_ := set $serve "tls_certificate" (printf "/run/secrets/%s/%s" .name .certificateKey) -}}
{{- $_ := set $serve "tls_key" (printf "/run/secrets/%s/%s" .name .privateKeyKey) -}}
{{- end }}{{ end -}}
{{- $_ := set $config "serve" $serve -}}
{{- /* A SQLite file must not be shared over a network. */ -}}
{{- if and (eq (include "drift-monitor.shared" .) "true") (not (hasKey $config "cache")) }}{{ $_ := set $config "cache" "/tmp/embeddings.db" }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "drift-monitor.url" -}}
{{- $store := .Values.config.store | default dict -}}
{{- if kindIs "string" $store }}{{ $store }}{{ else if not (hasKey $store "url_file") }}{{ $store.url | default "sqlite:" }}{{ end -}}
{{- end -}}

{{- define "drift-monitor.sqlite" -}}
{{- hasPrefix "sqlite" (include "drift-monitor.url" .) -}}
{{- end -}}

{{- define "drift-monitor.port" -}}
{{- $serve := .Values.config.serve | default dict -}}
{{- hasKey $serve "port" | ternary $serve.port 9464 -}}
{{- end -}}

{{- define "drift-monitor.tls" -}}
{{- $serve := .Values.config.serve | default dict -}}
{{- or .Values.secrets.tls.name $serve.tls_certificate | empty | not -}}
{{- end -}}

{{/* How many pods work on the volume at the same time: the Deployment's where it runs windows, else one for each group. */}}
{{- define "drift-monitor.workers" -}}
{{- if eq .Values.mode "service" }}{{ .Values.replicas }}{{ else }}{{ len .Values.cronjob.groups }}{{ end -}}
{{- end -}}

{{/* Whether several pods share the volume. */}}
{{- define "drift-monitor.shared" -}}
{{- and .Values.persistence.enabled (gt (include "drift-monitor.workers" . | int) 1) -}}
{{- end -}}

{{/* Whether the volume may hang on one node only. */}}
{{- define "drift-monitor.single" -}}
{{- and .Values.persistence.enabled (not (has "ReadWriteMany" .Values.persistence.accessModes)) -}}
{{- end -}}

{{/* The names of a group's monitors, as a JSON list under "names". (dict "context" $ "group" $group) */}}
{{- define "drift-monitor.monitors" -}}
{{- $names := .group.monitors | default list -}}
{{- if not $names -}}
{{- $taken := list }}
{{- range .context.Values.cronjob.groups }}{{ $taken = concat $taken (.monitors | default list) }}{{ end -}}
{{- range .context.Values.config.monitors }}{{ if not (has .name $taken) }}{{ $names = append $names .name }}{{ end }}{{ end -}}
{{- end -}}
{{- dict "names" $names | toJson -}}
{{- end -}}
