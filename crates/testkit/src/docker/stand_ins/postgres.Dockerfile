# Stands in for postgres: data below /var/lib/postgresql since version 18.
FROM debian-base
RUN useradd --uid 999 postgres && mkdir -p /var/lib/postgresql /docker-entrypoint-initdb.d && chown postgres /var/lib/postgresql
COPY program /usr/lib/postgresql
COPY start.sh /usr/local/bin/start.sh
ENV PATH=/usr/lib/postgresql/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/18/docker
USER postgres
VOLUME ["/var/lib/postgresql"]
STOPSIGNAL SIGINT
CMD ["sh", "/usr/local/bin/start.sh"]
