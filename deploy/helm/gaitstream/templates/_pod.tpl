{{- define "gaitstream.selector" -}}
app.kubernetes.io/name: gaitstream
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "gaitstream.labels" -}}
{{ include "gaitstream.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{- define "gaitstream.name" -}}
{{ .root.Release.Name | trunc 50 }}-{{ .role }}
{{- end }}

{{/* The secret that a role signs in to Kafka with. */}}
{{- define "gaitstream.kafkaSecret" -}}
{{ .root.Values.kafka.existingSecret }}{{ if .root.Values.kafka.secretPerRole }}-{{ .role }}{{ end }}
{{- end }}

{{/* The pod of a role: `port` serves /metrics, /healthz and /readyz. */}}
{{- define "gaitstream.pod" -}}
{{- $v := .root.Values -}}
metadata:
  labels: {{- include "gaitstream.labels" . | nindent 4 }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $v.terminationGracePeriodSeconds }}
  {{- with $v.image.pullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with (ternary $v.gpu.nodeSelector $v.nodeSelector (gt (int .gpu) 0)) }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with (ternary $v.gpu.tolerations $v.tolerations (gt (int .gpu) 0)) }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $v.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "gaitstream.selector" . | nindent 10 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: {{ .role }}
      image: "{{ $v.image.repository }}:{{ $v.image.tag | default .root.Chart.AppVersion }}"
      imagePullPolicy: {{ $v.image.pullPolicy }}
      args: [worker, {{ .role }}]
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      env:
        - {name: GAITSTREAM_BOOTSTRAP, value: {{ $v.kafka.bootstrap | quote }}}
        - {name: GAITSTREAM_SECURITY_PROTOCOL, value: {{ $v.kafka.securityProtocol | quote }}}
        {{- if hasPrefix "SASL" $v.kafka.securityProtocol }}
        - {name: GAITSTREAM_SASL_MECHANISM, value: {{ $v.kafka.saslMechanism | quote }}}
        - name: GAITSTREAM_SASL_USERNAME
          valueFrom: {secretKeyRef: {name: {{ include "gaitstream.kafkaSecret" . }}, key: username}}
        - name: GAITSTREAM_SASL_PASSWORD
          valueFrom: {secretKeyRef: {name: {{ include "gaitstream.kafkaSecret" . }}, key: password}}
        {{- end }}
        {{- if hasSuffix "SSL" $v.kafka.securityProtocol }}
        - {name: GAITSTREAM_SSL_CA_FILE, value: /etc/gaitstream/kafka/ca.crt}
        {{- if $v.kafka.mutualTls }}
        - {name: GAITSTREAM_SSL_CERT_FILE, value: /etc/gaitstream/kafka/tls.crt}
        - {name: GAITSTREAM_SSL_KEY_FILE, value: /etc/gaitstream/kafka/tls.key}
        {{- end }}
        {{- end }}
        - {name: GAITSTREAM_TOPIC_REPLICATION, value: {{ $v.kafka.topicReplication | quote }}}
        {{- if and $v.seal.existingSecret (has .role (list "identity" "control")) }}
        - {name: GAITSTREAM_SEAL_KEY_FILE, value: /etc/gaitstream/seal/keys}
        - {name: GAITSTREAM_SEAL_ACCEPT_UNSEALED, value: {{ $v.seal.acceptUnsealed | quote }}}
        {{- end }}
        {{- if eq .role "control" }}
        - {name: GAITSTREAM_API_HOST, value: "0.0.0.0"}
        - {name: GAITSTREAM_API_PORT, value: {{ .port | quote }}}
        - name: GAITSTREAM_API_TOKEN
          valueFrom: {secretKeyRef: {name: {{ $v.api.existingSecret }}, key: token}}
        {{- else }}
        - {name: GAITSTREAM_HTTP_HOST, value: "0.0.0.0"}
        - {name: GAITSTREAM_HTTP_PORT, value: {{ .port | quote }}}
        {{- end }}
        - {name: GAITSTREAM_DEVICE, value: {{ ternary "cuda" "cpu" (gt (int .gpu) 0) }}}
        {{- range $name, $value := $v.settings }}
        - {name: GAITSTREAM_{{ $name }}, value: {{ $value | toString | quote }}}
        {{- end }}
      ports:
        - {name: http, containerPort: {{ .port }}}
      # Health follows progress: /healthz fails when the loop has stood still for 60 s, /readyz until partitions and gallery are there.
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 5
        failureThreshold: 36
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
      resources:
        requests: {{- toYaml .resources.requests | nindent 10 }}
        limits:
          {{- toYaml .resources.limits | nindent 10 }}
          {{- if gt (int .gpu) 0 }}
          {{ $v.gpu.resource }}: {{ .gpu }}
          {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: data, mountPath: /var/lib/gaitstream}
        {{- if hasSuffix "SSL" $v.kafka.securityProtocol }}
        - {name: kafka-tls, mountPath: /etc/gaitstream/kafka, readOnly: true}
        {{- end }}
        {{- if and $v.seal.existingSecret (has .role (list "identity" "control")) }}
        - {name: seal, mountPath: /etc/gaitstream/seal, readOnly: true}
        {{- end }}
  volumes:
    - {name: tmp, emptyDir: {sizeLimit: 256Mi}}
    {{- if ne .role "control" }}
    - {name: data, emptyDir: {sizeLimit: 256Mi}}
    {{- end }}
    {{- if hasSuffix "SSL" $v.kafka.securityProtocol }}
    - name: kafka-tls
      secret:
        secretName: {{ include "gaitstream.kafkaSecret" . }}
        defaultMode: 0440
        items:
          - {key: ca.crt, path: ca.crt}
          {{- if $v.kafka.mutualTls }}
          - {key: tls.crt, path: tls.crt}
          - {key: tls.key, path: tls.key}
          {{- end }}
    {{- end }}
    {{- if and $v.seal.existingSecret (has .role (list "identity" "control")) }}
    - name: seal
      secret: {secretName: {{ $v.seal.existingSecret }}, defaultMode: 0440, items: [{key: keys, path: keys}]}
    {{- end }}
{{- end }}
