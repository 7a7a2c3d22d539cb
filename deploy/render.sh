#!/bin/sh
# Fills the files of this folder with the values of one machine.
#   render.sh VALUES NODE OUTPUT_FOLDER
# In a template @NAME@ stands for the value NAME, and @SELF_X@ for NODE<n>_X of this machine. A name without a value,
# or a value that still says CHANGE_ME, ends the work with a message, and nothing is written.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
fail() { echo "render.sh: $*" >&2; exit 2; }
[ $# -eq 3 ] || fail "usage: render.sh VALUES NODE OUTPUT_FOLDER"
values=$1 node=$2 out=$3
[ -r "$values" ] || fail "cannot read $values"
case $node in 1|2|3) ;; *) fail "NODE is 1, 2 or 3, not '$node'" ;; esac

script=$(mktemp)
rendered=$(mktemp -d)
trap 'rm -rf "$script" "$rendered"' EXIT
number=0
while IFS= read -r line || [ -n "$line" ]; do
  number=$((number + 1))
  case $line in
    '' | '#'*) continue ;;
    [A-Z]*=*) ;;
    *) fail "$values line $number is not NAME=value" ;;
  esac
  name=${line%%=*}
  value=${line#*=}
  case $value in
    *CHANGE_ME*) fail "$values line $number: $name still says CHANGE_ME" ;;
    '') fail "$values line $number: $name has no value" ;;
  esac
  escaped=$(printf '%s' "$value" | sed 's/[\\&|]/\\&/g')
  printf 's|@%s@|%s|g\n' "$name" "$escaped" >> "$script"
  case $name in
    "NODE${node}_"*) printf 's|@SELF_%s@|%s|g\n' "${name#"NODE${node}_"}" "$escaped" >> "$script" ;;
  esac
done < "$values"

templates='etcd/etcd.yml etcd/etcd.default haproxy/haproxy.cfg
  patroni/config.yml patroni/post_bootstrap.sh patroni/on_role_change.py
  pgbackrest/pgbackrest.conf pgbackrest/backup.sh pgbackrest/verify.py
  prometheus/prometheus.yml'
umask 077
for file in $templates; do
  mkdir -p "$rendered/$(dirname "$file")"
  sed -f "$script" "$here/$file" > "$rendered/$file"
  if left=$(grep -n -o -E '@[A-Z][A-Z0-9_]*@' "$rendered/$file"); then
    fail "$file uses values that $values does not give: $(echo "$left" | tr '\n' ' ')"
  fi
done
for program in patroni/post_bootstrap.sh patroni/on_role_change.py pgbackrest/backup.sh pgbackrest/verify.py; do
  chmod 700 "$rendered/$program"
done
mkdir -p "$out"
cp -R "$rendered/." "$out/"
