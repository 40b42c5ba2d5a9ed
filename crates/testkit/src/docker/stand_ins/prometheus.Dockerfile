# Stands in for prom/prometheus.
FROM debian-base
COPY program /usr/local/bin
RUN ln -s /bin/busybox /usr/local/bin/wget && mkdir -p /prometheus /etc/prometheus && chown 65534:65534 /prometheus
USER 65534:65534
WORKDIR /prometheus
VOLUME ["/prometheus"]
ENTRYPOINT ["/usr/local/bin/prometheus"]
