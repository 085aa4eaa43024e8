{{/*
The pod of every workload:
(dict "context" $ "component" "server" "args" (list "serve") "resources" .Values.resources "data" true "serves" true)
data: whether it works on the volume; serves: whether it has a port and probes; bare: it sees neither settings nor secrets.
What it takes beside: "restart", "settings", "account", "command".
*/}}
{{- define "drift-monitor.podLabels" -}}
{{- with .context.Values.podLabels }}
{{- toYaml . }}
{{ end -}}
{{ include "drift-monitor.selector" .context }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "drift-monitor.pod" -}}
{{- $ := .context -}}
{{- $values := $.Values -}}
automountServiceAccountToken: false
enableServiceLinks: false
serviceAccountName: {{ .account | default (include "drift-monitor.account" $) }}
{{- with .restart }}
restartPolicy: {{ . }}
{{- end }}
terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  {{- range $name, $id := $values.podSecurityContext }}
  {{- if kindIs "invalid" $id }}{{ else }}
  {{ $name }}: {{ $id | int64 }}
  {{- end }}
  {{- end }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
containers:
  - name: {{ .component }}
    image: {{ include "drift-monitor.image" $ | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    {{- with .command }}
    command:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    args:
      {{- toYaml .args | nindent 6 }}
    workingDir: /data
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    {{- if not .bare }}
    {{- $given := list }}
    {{- range $values.extraEnv }}{{ $given = append $given .name }}{{ end }}
    env:
      - name: DRIFT_MONITOR_CONFIG
        value: /etc/drift-monitor/drift-monitor.yaml
      {{- if not (has "HOME" $given) }}
      # The only folders that can be written are /data and /tmp.
      - name: HOME
        value: /tmp
      {{- end }}
      {{- if and $values.offline (not (has "HF_HUB_OFFLINE" $given)) }}
      - name: HF_HUB_OFFLINE
        value: "1"
      {{- end }}
      {{- if not (has "OMP_NUM_THREADS" $given) }}
      # As many threads as the pod may use, not as many as the node has.
      - name: OMP_NUM_THREADS
        valueFrom:
          resourceFieldRef:
            resource: limits.cpu
      {{- end }}
      {{- with $values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with $values.extraEnvFrom }}
    envFrom:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- end }}
    {{- if .serves }}
    ports:
      - name: http
        containerPort: {{ include "drift-monitor.port" $ }}
        protocol: TCP
    {{- range $probe, $path := dict "startupProbe" "/healthz" "livenessProbe" "/healthz" "readinessProbe" "/readyz" }}
    {{ $probe }}:
      httpGet:
        path: {{ $path }}
        port: http
        scheme: {{ ternary "HTTPS" "HTTP" (eq (include "drift-monitor.tls" $) "true") }}
      {{- toYaml (index $values.probes (trimSuffix "Probe" $probe)) | nindent 6 }}
    {{- end }}
    {{- end }}
    resources:
      {{- toYaml .resources | nindent 6 }}
    volumeMounts:
      {{- if not .bare }}
      - name: settings
        mountPath: /etc/drift-monitor
        readOnly: true
      {{- end }}
      - name: data
        mountPath: /data
      - name: tmp
        mountPath: /tmp
      {{- if not .bare }}
      {{- range include "drift-monitor.secretNames" $ | fromJsonArray }}
      - name: secret-{{ . | replace "." "-" }}
        mountPath: /run/secrets/{{ . }}
        readOnly: true
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
      {{- end }}
volumes:
  {{- if not .bare }}
  - name: settings
    configMap:
      name: {{ .settings | default (include "drift-monitor.fullname" $) }}
  {{- end }}
  - name: data
    {{- if and .data $values.persistence.enabled }}
    persistentVolumeClaim:
      claimName: {{ include "drift-monitor.claim" $ }}
    {{- else }}
    emptyDir:
      sizeLimit: {{ $values.scratchSize }}
    {{- end }}
  - name: tmp
    emptyDir:
      sizeLimit: {{ $values.scratchSize }}
  {{- if not .bare }}
  {{- range include "drift-monitor.secretNames" $ | fromJsonArray }}
  - name: secret-{{ . | replace "." "-" }}
    secret:
      secretName: {{ . }}
      # 0440
      defaultMode: 288
  {{- end }}
  {{- with $values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "drift-monitor.secretNames" -}}
{{- $names := list -}}
{{- with .Values.secrets }}
{{- $names = concat (list .database.name .auth.name .tls.name) .mounts -}}
{{- end }}
{{- without $names "" | uniq | toJson -}}
{{- end -}}

{{- define "drift-monitor.spread" -}}
{{- $constraints := .Values.topologySpreadConstraints -}}
{{- if and (not $constraints) (gt (int .Values.replicas) 1) -}}
{{- $constraints = list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
{{- if $constraints -}}
topologySpreadConstraints:
  {{- range $constraints }}
  -
    {{- toYaml . | nindent 4 }}
    {{- if not .labelSelector }}
    labelSelector:
      matchLabels:
        {{- include "drift-monitor.selector" $ | nindent 8 }}
        app.kubernetes.io/component: server
    {{- end }}
  {{- end }}
{{- end -}}
{{- end -}}
