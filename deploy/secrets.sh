#!/usr/bin/env bash
# deploy/secrets.sh FILE: writes .env.example to FILE, once, with a random secret wherever it says `generated`.
set -euo pipefail
file="${1:?the file to write}"
[ ! -e "$file" ] || exit 0
umask 077
while IFS= read -r line; do
  case "$line" in
    *=generated) echo "${line%generated}$(head -c 32 /dev/urandom | sha256sum | cut -c 1-40)" ;;
    *) echo "$line" ;;
  esac
done < "$(dirname "$0")/../.env.example" > "$file.part"
mv "$file.part" "$file"
