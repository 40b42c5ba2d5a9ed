#!/bin/sh
# Starts a broker set by variables, as the image of Apache Kafka does: KAFKA_LOG_DIRS is log.dirs, two underscores are one.
set -eu
settings=/tmp/server.properties
env | sed -n 's/^KAFKA_//p' | while IFS= read -r line; do
    name=${line%%=*}
    case $name in HEAP_OPTS) continue ;; esac
    name=$(printf %s "$name" | tr '[:upper:]' '[:lower:]' | sed 's/___/-/g; s/__/\n/g; s/_/./g' | tr '\n' '_')
    printf '%s=%s\n' "${name%_}" "${line#*=}"
done >"$settings"
cat >/tmp/log4j2.properties <<'LOG'
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
LOG
log=-Dlog4j2.configurationFile=/tmp/log4j2.properties
java -cp '/opt/kafka/libs/*' "$log" kafka.tools.StorageTool format --cluster-id "$CLUSTER_ID" --config "$settings" \
    --ignore-formatted
# shellcheck disable=SC2086 # several options
exec java ${KAFKA_HEAP_OPTS:-} -cp '/opt/kafka/libs/*' "$log" kafka.Kafka "$settings"
