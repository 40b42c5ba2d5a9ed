# Stands in for apache/kafka.
FROM debian-base
RUN useradd --uid 1000 appuser && mkdir -p /opt/kafka /var/lib/kafka/data && chown -R appuser /var/lib/kafka
COPY program /opt/kafka/libs
COPY start.sh /opt/kafka/start.sh
USER appuser
VOLUME ["/var/lib/kafka/data"]
CMD ["sh", "/opt/kafka/start.sh"]
