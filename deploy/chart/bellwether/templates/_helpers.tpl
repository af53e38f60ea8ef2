{{- define "bellwether.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters at most: names are made from it, and hashes of pods come behind those. */}}
{{- define "bellwether.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "bellwether.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "bellwether.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "bellwether.selector" -}}
app.kubernetes.io/name: {{ include "bellwether.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: manager
{{- end -}}

{{- define "bellwether.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/name: {{ include "bellwether.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: bellwether
{{- end -}}

{{- define "bellwether.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bellwether.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "bellwether.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "bellwether.publicHost" -}}
{{- (urlParse .Values.publicUrl).host | regexFind "^[^:]+" -}}
{{- end -}}

{{/* What one value alone cannot tell; the rest is in values.schema.json. */}}
{{- define "bellwether.checks" -}}
{{- if not .Values.publicUrl -}}
{{- fail "\n\npublicUrl is needed: how nodes reach this manager, such as https://bellwether.example. It stays for good." -}}
{{- end -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- $missing := list -}}
{{- if not .Values.database.url }}{{ $missing = append $missing "database.url" }}{{ end -}}
{{- if not .Values.redis.url }}{{ $missing = append $missing "redis.url" }}{{ end -}}
{{- if not .Values.masterKey.existingSecret }}{{ $missing = append $missing "masterKey.existingSecret" }}{{ end -}}
{{- if and (not .Values.persistence.existingClaim) (not (has "ReadWriteMany" .Values.persistence.accessModes)) }}{{ $missing = append $missing "persistence.accessModes with ReadWriteMany (or existingClaim)" }}{{ end -}}
{{- if $missing -}}
{{- fail (printf "\n\nreplicas: %d managers need %s" (int .Values.replicas) (join ", " $missing)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.persistence.ephemeral (gt (int .Values.replicas) 1) -}}
{{- fail "\n\npersistence.ephemeral is for a try with one manager" -}}
{{- end -}}
{{- range $what := list "database" "redis" -}}
{{- $one := get $.Values $what -}}
{{- if and $one.ca.existingConfigMap $one.ca.existingSecret -}}
{{- fail (printf "\n\n%s.ca is given twice: by existingConfigMap and existingSecret. Give it once." $what) -}}
{{- end -}}
{{- if and (not $one.url) (or $one.passwordSecret.name $one.ca.existingConfigMap $one.ca.existingSecret) -}}
{{- fail (printf "\n\n%s.url is needed for its password or authority" $what) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.s3.bucket (not .Values.s3.endpoint) -}}
{{- fail "\n\ns3.endpoint is needed with s3.bucket: scheme, host and port of the store" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "\n\nmetrics.serviceMonitor.enabled needs metrics.enabled: there is no port to ask otherwise" -}}
{{- end -}}
{{- $seconds := div (add (int64 .Values.drainMs) 999) 1000 -}}
{{- if lt (int64 .Values.terminationGracePeriodSeconds) (add $seconds 10) -}}
{{- fail (printf "\n\nterminationGracePeriodSeconds has to be %d at least: drainMs and 10 s for answers" (add $seconds 10)) -}}
{{- end -}}
{{- if and .Values.openshift.route.enabled (ne .Values.openshift.route.termination "edge") (not .Values.tls.existingSecret) -}}
{{- fail "\n\nopenshift.route.termination: the manager has to speak TLS for that; set tls.existingSecret" -}}
{{- end -}}
{{- if and .Values.openshift.route.enabled (eq .Values.openshift.route.termination "edge") .Values.tls.existingSecret -}}
{{- fail "\n\nopenshift.route.termination: with tls.existingSecret it is passthrough or reencrypt" -}}
{{- end -}}
{{- if and .Values.priorityClass.create (hasPrefix "system-" .Values.priorityClass.name) -}}
{{- fail "\n\npriorityClass.create: names that begin with system- belong to Kubernetes" -}}
{{- end -}}
{{- end -}}

{{- define "bellwether.podSecurityContext" -}}
{{- $context := .Values.podSecurityContext -}}
{{- if .Values.openshift.enabled -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{- define "bellwether.podPlace" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- if .Values.priorityClass.create }}
priorityClassName: {{ .Values.priorityClass.name | default (include "bellwether.fullname" .) }}
{{- else if .Values.priorityClass.name }}
priorityClassName: {{ .Values.priorityClass.name }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Files of Secrets and ConfigMaps: name of the volume, where it comes from, its key, its path below /etc/bellwether. */}}
{{- define "bellwether.mounts" -}}
{{- $mounts := list -}}
{{- with .Values.database.passwordSecret }}{{ if .name }}
{{- $mounts = append $mounts (dict "volume" "database-password" "secret" .name "key" .key "env" "BELLWETHER_DATABASE_PASSWORD_FILE") }}{{ end }}{{ end -}}
{{- with .Values.database.ca }}{{ if or .existingSecret .existingConfigMap }}
{{- $mounts = append $mounts (dict "volume" "database-ca" "secret" .existingSecret "configMap" .existingConfigMap "key" .key "env" "BELLWETHER_DATABASE_CA_FILE") }}{{ end }}{{ end -}}
{{- with .Values.redis.passwordSecret }}{{ if .name }}
{{- $mounts = append $mounts (dict "volume" "redis-password" "secret" .name "key" .key "env" "BELLWETHER_REDIS_PASSWORD_FILE") }}{{ end }}{{ end -}}
{{- with .Values.redis.ca }}{{ if or .existingSecret .existingConfigMap }}
{{- $mounts = append $mounts (dict "volume" "redis-ca" "secret" .existingSecret "configMap" .existingConfigMap "key" .key "env" "BELLWETHER_REDIS_CA_FILE") }}{{ end }}{{ end -}}
{{- with .Values.redis.sentinelPasswordSecret }}{{ if .name }}
{{- $mounts = append $mounts (dict "volume" "sentinel-password" "secret" .name "key" .key "env" "BELLWETHER_REDIS_SENTINEL_PASSWORD_FILE") }}{{ end }}{{ end -}}
{{- with .Values.masterKey }}{{ if .existingSecret }}
{{- $mounts = append $mounts (dict "volume" "master-key" "secret" .existingSecret "key" .key "env" "BELLWETHER_MASTER_KEY_FILE") }}
{{- if .oldKeysKey }}
{{- $mounts = append $mounts (dict "volume" "master-keys-old" "secret" .existingSecret "key" .oldKeysKey "env" "BELLWETHER_MASTER_KEYS_OLD_FILE") }}{{ end }}{{ end }}{{ end -}}
{{- with .Values.sources }}{{ if .existingSecret }}
{{- $mounts = append $mounts (dict "volume" "sources" "secret" .existingSecret "key" .key "env" "BELLWETHER_SOURCES_FILE") }}{{ end }}{{ end -}}
{{- with .Values.oidc }}{{ if .existingSecret }}
{{- $mounts = append $mounts (dict "volume" "oidc" "secret" .existingSecret "key" .key "env" "BELLWETHER_OIDC_FILE") }}{{ end }}{{ end -}}
{{- toJson $mounts -}}
{{- end -}}
