#!/usr/bin/env bash
# Where no image registry is reached: images under the names that docker-compose.yml and deploy/Dockerfile ask for,
# made of Debian's own packages. For trying the Compose file, never for a team: they stand in for the names alone.
# Needs root, Docker, debootstrap. Packages come from DEBIAN_MIRROR; the machine's certificates go along, for pip.
set -euo pipefail

mirror="${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

debootstrap --variant=minbase bookworm "$work/root" "$mirror"
tar -C "$work/root" -c . | docker import - standin-debian:bookworm
mkdir "$work/context"
cp /etc/ssl/certs/ca-certificates.crt "$work/context/"
cat > "$work/context/entrypoint.sh" <<'ENTRY'
#!/usr/bin/env bash
# What the image `postgres` promises of an empty volume: initdb with POSTGRES_PASSWORD, the scripts of
# /docker-entrypoint-initdb.d against a server without a network, then the server.
set -euo pipefail
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  read -ra options <<< "${POSTGRES_INITDB_ARGS:-}"
  initdb --username=postgres --pwfile=<(echo "$POSTGRES_PASSWORD") "${options[@]}"
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=''" -w start
  for script in /docker-entrypoint-initdb.d/*.sh; do bash "$script"; done
  pg_ctl -D "$PGDATA" -m fast -w stop
fi
exec "$@"
ENTRY

docker build -t python:3.11.14-slim-bookworm -f - "$work/context" <<'PYTHON'
FROM standin-debian:bookworm
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends python3-pip \
 && ln -s python3 /usr/bin/python && rm /usr/lib/python3.11/EXTERNALLY-MANAGED && rm -r /var/lib/apt/lists
COPY ca-certificates.crt /etc/ssl/certs/
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_ROOT_USER_ACTION=ignore LANG=C.UTF-8
PYTHON

docker build -t postgres:15.15-bookworm -f - "$work/context" <<'POSTGRES'
FROM standin-debian:bookworm
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends postgresql-15 \
 && rm -r /var/lib/apt/lists /var/lib/postgresql/15
COPY entrypoint.sh /usr/local/bin/
RUN install -d -o postgres -m 1777 /var/lib/postgresql/data && install -d -o postgres -m 3777 /var/run/postgresql
ENV PGDATA=/var/lib/postgresql/data PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin LANG=C.UTF-8
ENTRYPOINT ["bash", "/usr/local/bin/entrypoint.sh"]
CMD ["postgres", "-c", "listen_addresses=*"]
STOPSIGNAL SIGINT
EXPOSE 5432
POSTGRES
