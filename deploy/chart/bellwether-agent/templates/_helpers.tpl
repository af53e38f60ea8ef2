{{- define "bellwether-agent.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters at most: names are made from it, and hashes of pods come behind those. */}}
{{- define "bellwether-agent.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "bellwether-agent.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "bellwether-agent.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "bellwether-agent.selector" -}}
app.kubernetes.io/name: {{ include "bellwether-agent.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bellwether-agent.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "bellwether-agent.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: bellwether
{{- end -}}

{{- define "bellwether-agent.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bellwether-agent.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "bellwether-agent.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "bellwether-agent.stateNamespace" -}}
{{- .Values.state.namespace | default (printf "%s-nodes" .Release.Namespace | trunc 63) -}}
{{- end -}}

{{/* Of one release of the chart: the same after every upgrade of it. */}}
{{- define "bellwether-agent.installId" -}}
{{- .Values.installId | default (printf "%s/%s" .Release.Namespace .Release.Name | sha256sum | trunc 32) -}}
{{- end -}}

{{- define "bellwether-agent.tokenSecret" -}}
{{- .Values.token.existingSecret | default (printf "%s-token" (include "bellwether-agent.fullname" .)) -}}
{{- end -}}

{{- define "bellwether-agent.proxySecret" -}}
{{- .Values.proxy.existingSecret | default (ternary (printf "%s-proxy" (include "bellwether-agent.fullname" .)) "" (ne .Values.proxy.https "")) -}}
{{- end -}}

{{- define "bellwether-agent.hasCa" -}}
{{- if or .Values.manager.caCertificates .Values.manager.existingCaConfigMap .Values.manager.existingCaSecret }}true{{ end -}}
{{- end -}}

{{/* The port of the manager, as its address has it. */}}
{{- define "bellwether-agent.managerPort" -}}
{{- $url := urlParse .Values.manager.url -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- if .Values.networkPolicy.managerPort -}}
{{ .Values.networkPolicy.managerPort }}
{{- else -}}
{{ $port | default (ternary "80" "443" (eq $url.scheme "http")) }}
{{- end -}}
{{- end -}}

{{- define "bellwether-agent.oneOf" -}}
{{- $given := list -}}
{{- range $name, $value := .values }}{{ if $value }}{{ $given = append $given $name }}{{ end }}{{ end -}}
{{- if gt (len $given) 1 -}}
{{- fail (printf "\n\n%s is given twice: by %s. Give it once." .what (join " and " $given)) -}}
{{- else if and .needed (eq (len $given) 0) -}}
{{- fail (printf "\n\n%s is needed: set one of %s. %s" .what (keys .values | sortAlpha | join ", ") .why) -}}
{{- end -}}
{{- end -}}

{{/* What one value alone cannot tell; the rest is in values.schema.json. */}}
{{- define "bellwether-agent.checks" -}}
{{- $isOperator := eq .Values.kind "Deployment" -}}
{{- if not .Values.manager.url -}}
{{- fail "\n\nmanager.url is needed: the address of the manager, as it calls itself, such as https://bellwether.example" -}}
{{- end -}}
{{- if not .Values.clusterName -}}
{{- fail "\n\nclusterName is needed: the name that the cluster token was made for" -}}
{{- end -}}
{{- if and (hasPrefix "http://" .Values.manager.url) (not .Values.manager.allowPlaintext) -}}
{{- fail "\n\nmanager.url must be https; a closed test network may set manager.allowPlaintext" -}}
{{- end -}}
{{- include "bellwether-agent.oneOf" (dict "what" "The cluster token" "needed" true "why" "bellwether cluster-tokens create makes one." "values" (dict "token.value" .Values.token.value "token.existingSecret" .Values.token.existingSecret)) -}}
{{- include "bellwether-agent.oneOf" (dict "what" "The authority of the manager" "needed" false "values" (dict "manager.caCertificates" .Values.manager.caCertificates "manager.existingCaConfigMap" .Values.manager.existingCaConfigMap "manager.existingCaSecret" .Values.manager.existingCaSecret)) -}}
{{- include "bellwether-agent.oneOf" (dict "what" "The proxy" "needed" false "values" (dict "proxy.https" .Values.proxy.https "proxy.existingSecret" .Values.proxy.existingSecret)) -}}
{{- if $isOperator -}}
{{- include "bellwether-agent.oneOf" (dict "what" "The policy" "needed" true "why" "Without one the operator refuses every release." "values" (dict "policy.toml" .Values.policy.toml "policy.existingConfigMap" .Values.policy.existingConfigMap "policy.existingSecret" .Values.policy.existingSecret)) -}}
{{- if and (eq .Values.mode "gitops") (not .Values.gitops.existingClaim) (not .Values.gitops.sidecars) -}}
{{- fail "\n\nmode gitops writes patches that nobody would find: set gitops.existingClaim or gitops.sidecars" -}}
{{- end -}}
{{- else if .Values.admission.enabled -}}
{{- fail "\n\nadmission.enabled needs kind: Deployment; the webhook belongs to the operator" -}}
{{- end -}}
{{- with .Values.nodeNameOverride -}}
{{- $needed := ternary "{workload}" "{machine}" $isOperator -}}
{{- if not (contains $needed .) -}}
{{- fail (printf "\n\nnodeNameOverride needs %s in it: a name is given once, and every %s is a node. Such as site-7/%s" $needed (trimAll "{}" $needed) $needed) -}}
{{- end -}}
{{- if regexMatch "[{}]" (. | replace $needed "" | replace "{cluster}" "") -}}
{{- fail (printf "\n\nnodeNameOverride: what can be put in for kind %s is {cluster} and %s" $.Values.kind $needed) -}}
{{- end -}}
{{- end -}}
{{- range list "machine" "install" -}}
{{- if hasKey $.Values.agent.labels . -}}
{{- fail (printf "\n\nagent.labels.%s is given by the chart itself%s" . (ternary "; set installId" "" (eq . "install"))) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.priorityClass.create (hasPrefix "system-" .Values.priorityClass.name) -}}
{{- fail "\n\npriorityClass.create: names that begin with system- belong to Kubernetes" -}}
{{- end -}}
{{- end -}}

{{- define "bellwether-agent.podSecurityContext" -}}
{{- $context := .Values.podSecurityContext -}}
{{- if .Values.openshift.enabled -}}
{{- $context = omit $context "runAsUser" "runAsGroup" "fsGroup" -}}
{{- end -}}
{{- toYaml $context -}}
{{- end -}}

{{/* Who pulls, where it runs, how much it matters: the same for every pod of the chart. */}}
{{- define "bellwether-agent.podPlace" -}}
{{- $pulls := .Values.imagePullSecrets -}}
{{- if .Values.imagePullSecret.create -}}
{{- $pulls = append $pulls (printf "%s-pull" (include "bellwether-agent.fullname" .)) -}}
{{- end -}}
{{- with $pulls }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- if .Values.priorityClass.create }}
priorityClassName: {{ .Values.priorityClass.name | default (include "bellwether-agent.fullname" .) }}
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

{{- define "bellwether-agent.proxyEnv" -}}
{{- with include "bellwether-agent.proxySecret" . }}
- name: HTTPS_PROXY
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: HTTPS_PROXY
{{- end }}
{{- with .Values.proxy.noProxy }}
- name: NO_PROXY
  value: {{ . | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A container of the operator's program, whatever it is told to do. `args`, `data`: whether it keeps spools. */}}
{{- define "bellwether-agent.operatorContainer" -}}
{{- $root := .root -}}
image: {{ include "bellwether-agent.image" $root }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
command: [node, /app/bellwether-operator.mjs]
{{- with .args }}
args: {{ toJson . }}
{{- end }}
envFrom:
  - configMapRef:
      name: {{ include "bellwether-agent.fullname" $root }}
env:
  - name: BELLWETHER_POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  {{- with .env }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with include "bellwether-agent.proxyEnv" $root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
securityContext:
  {{- toYaml $root.Values.securityContext | nindent 2 }}
volumeMounts:
  - name: token
    mountPath: /etc/bellwether/token
    readOnly: true
  - name: policy
    mountPath: /etc/bellwether/policy
    readOnly: true
  {{- if include "bellwether-agent.hasCa" $root }}
  - name: ca
    mountPath: /etc/bellwether/ca
    readOnly: true
  {{- end }}
  - name: data
    mountPath: /var/lib/bellwether-operator
  {{- if .gitops }}
  - name: gitops
    mountPath: /var/lib/bellwether-gitops
  {{- if $root.Values.gitops.repositoryVolume }}
  - name: repository
    mountPath: /var/lib/bellwether-repository
    readOnly: true
  {{- end }}
  {{- end }}
{{- end -}}

{{- define "bellwether-agent.caVolume" -}}
{{- if include "bellwether-agent.hasCa" . }}
- name: ca
  {{- if .Values.manager.existingCaSecret }}
  secret:
    secretName: {{ .Values.manager.existingCaSecret }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ .Values.manager.existingCaConfigMap | default (printf "%s-ca" (include "bellwether-agent.fullname" .)) }}
    defaultMode: 0440
  {{- end }}
    items:
      - key: {{ .Values.manager.caKey }}
        path: ca.crt
{{- end }}
{{- end -}}

{{- define "bellwether-agent.tokenVolume" -}}
- name: token
  secret:
    secretName: {{ include "bellwether-agent.tokenSecret" . }}
    defaultMode: 0440
    items:
      - key: {{ .Values.token.key }}
        path: enrollmentToken
{{- end -}}

{{- define "bellwether-agent.operatorVolumes" -}}
{{ include "bellwether-agent.tokenVolume" . }}
- name: policy
  {{- if .Values.policy.existingSecret }}
  secret:
    secretName: {{ .Values.policy.existingSecret }}
    defaultMode: 0440
  {{- else }}
  configMap:
    name: {{ .Values.policy.existingConfigMap | default (printf "%s-policy" (include "bellwether-agent.fullname" .)) }}
    defaultMode: 0440
  {{- end }}
{{- with include "bellwether-agent.caVolume" . | trim }}
{{ . }}
{{- end }}
- name: data
  emptyDir:
    sizeLimit: {{ .Values.data.sizeLimit }}
{{- end -}}
