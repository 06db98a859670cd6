#!/usr/bin/env bash
# deploy/secrets.sh FILE: writes .env.example to FILE, with a random secret wherever it says `generated`. What the file
# says already stays; names that a newer .env.example has are added.
set -euo pipefail
file="${1:?the file to write}"
umask 077
touch "$file.part"
[ ! -e "$file" ] || cp "$file" "$file.part"
while IFS= read -r line; do
  name="${line%%=*}"
  if [ -e "$file" ] && { [ "$name" = "$line" ] || grep -q "^$name=" "$file"; }; then continue; fi
  case "$line" in
    *=generated) echo "${line%generated}$(head -c 32 /dev/urandom | sha256sum | cut -c 1-64)" ;;
    *) echo "$line" ;;
  esac
done < "$(dirname "$0")/../.env.example" >> "$file.part"
mv "$file.part" "$file"
