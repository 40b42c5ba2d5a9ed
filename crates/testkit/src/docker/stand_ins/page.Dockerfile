# Stands in for grafana/grafana and kafbat/kafka-ui: says that it is well, and is nothing else.
FROM debian-base
RUN ln -s /bin/busybox /usr/local/bin/wget && mkdir -p /www/api /www/actuator \
 && echo well >/www/api/health && echo well >/www/actuator/health
USER 65534:65534
CMD ["sh", "-c", "busybox httpd -p 3000 -h /www && exec busybox httpd -f -p 8080 -h /www"]
