{{/* Values that are each right and do not go together. Each message says what to do. */}}
{{- define "drift-monitor.refuse" -}}
{{- $sqlite := eq (include "drift-monitor.sqlite" .) "true" -}}
{{- $config := .Values.config -}}
{{- if and $sqlite (eq .Values.mode "cronjob") -}}
{{- fail "mode cronjob needs PostgreSQL: CronJobs and pages run on different nodes, and SQLite must not be shared over a network. Set config.store.url to postgresql+psycopg://..., or mode to service" -}}
{{- end -}}
{{- if and $sqlite (gt (int .Values.replicas) 1) -}}
{{- fail "replicas above 1 need PostgreSQL: set config.store.url to postgresql+psycopg://..., or replicas to 1" -}}
{{- end -}}
{{- if and $sqlite (not .Values.persistence.enabled) -}}
{{- fail "SQLite without a volume loses every run with its pod: set persistence.enabled, or config.store.url to postgresql+psycopg://..." -}}
{{- end -}}
{{- if and (eq (include "drift-monitor.shared" .) "true") (eq (include "drift-monitor.single" .) "true") -}}
{{- fail "several pods cannot share a ReadWriteOnce volume: set persistence.accessModes to [ReadWriteMany], or config.artifacts to an object store and persistence.enabled to false" -}}
{{- end -}}
{{- $artifacts := $config.artifacts | default "artifacts" -}}
{{- if kindIs "map" $artifacts }}{{ $artifacts = hasKey $artifacts "url_file" | ternary "s3://" ($artifacts.url | default "artifacts") }}{{ end -}}
{{- if and (not .Values.persistence.enabled) (not (contains "://" $artifacts)) (or (not (hasPrefix "/" $artifacts)) (hasPrefix "/data" $artifacts)) -}}
{{- fail "references in a folder are lost with their pod: set persistence.enabled, or config.artifacts to an object store such as s3://bucket/path, or to a folder that extraVolumes mounts" -}}
{{- end -}}
{{- $serve := $config.serve | default dict -}}
{{- with $serve.host -}}
{{- if or (hasPrefix "127." .) (has . (list "localhost" "::1")) -}}
{{- fail "config.serve.host is loopback, where neither probes nor the Service reach the pod: leave it out" -}}
{{- end -}}
{{- end -}}
{{- if eq (include "drift-monitor.port" . | int) 0 -}}
{{- fail "config.serve.port is 0, which is another port at each start: name one, or leave it out" -}}
{{- end -}}
{{- if and .Values.secrets.auth.name $serve.auth_file -}}
{{- fail "users are given twice, by secrets.auth.name and config.serve.auth_file: leave one out" -}}
{{- end -}}
{{- if and .Values.secrets.tls.name $serve.tls_certificate -}}
{{- fail "the certificate is given twice, by secrets.tls.name and config.serve.tls_certificate: leave one out" -}}
{{- end -}}
{{- $store := kindIs "map" $config.store | ternary $config.store dict -}}
{{- if and .Values.secrets.database.name (or (hasKey $store "password") (hasKey $store "password_file")) -}}
{{- fail "the database's password is given twice, by secrets.database.name and in config.store: leave one out" -}}
{{- end -}}
{{- if eq .Values.mode "cronjob" }}{{ include "drift-monitor.refuseGroups" . }}{{ end -}}
{{- end -}}

{{- define "drift-monitor.refuseGroups" -}}
{{- $known := list }}{{ range .Values.config.monitors }}{{ $known = append $known .name }}{{ end -}}
{{- $groups := list -}}
{{- $grouped := list -}}
{{- range .Values.cronjob.groups -}}
{{- if or (has .name $groups) (eq .name "reference") -}}
{{- fail (printf "cronjob.groups: the name %s is taken; give each group its own" .name) -}}
{{- end -}}
{{- $groups = append $groups .name -}}
{{- $names := (include "drift-monitor.monitors" (dict "context" $ "group" .) | fromJson).names -}}
{{- if not $names -}}
{{- fail (printf "cronjob.groups: %s has no monitors left, others name them all; leave it out" .name) -}}
{{- end -}}
{{- range $names -}}
{{- if not (has . $known) -}}
{{- fail (printf "cronjob.groups: %s is no monitor of config.monitors; there are %s" . (join ", " $known)) -}}
{{- end -}}
{{- if has . $grouped -}}
{{- fail (printf "cronjob.groups: %s is in two groups; leave it in one" .) -}}
{{- end -}}
{{- $grouped = append $grouped . -}}
{{- end -}}
{{- end -}}
{{- range $known -}}
{{- if not (has . $grouped) -}}
{{- fail (printf "cronjob.groups: no group runs %s; name it in one, or leave monitors out of one group, which then takes the rest" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
