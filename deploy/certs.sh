#!/bin/sh
# Makes the certificates by which the machines of the cluster know each other.
#   certs.sh CA_FOLDER NAME ADDRESS [ADDRESS|DNS_NAME …]
# The first call makes the authority in CA_FOLDER; each call makes CA_FOLDER/NAME/{ca.crt,node.crt,node.key} for one
# machine. Copy that folder to the machine's TLS_FOLDER (owner postgres, key mode 600). The authority's key stays off
# the machines. A certificate serves both ends of a connection, for etcd's members are each other's clients.
set -eu
fail() { echo "certs.sh: $*" >&2; exit 2; }
[ $# -ge 3 ] || fail "usage: certs.sh CA_FOLDER NAME ADDRESS [ADDRESS|DNS_NAME ...]"
ca=$1 name=$2
shift 2
umask 077
mkdir -p "$ca/$name"
if [ ! -s "$ca/ca.key" ]; then
  openssl ecparam -name prime256v1 -genkey -noout -out "$ca/ca.key"
  openssl req -x509 -new -key "$ca/ca.key" -sha256 -days 3650 -subj "/O=Vitrine cluster/CN=Vitrine cluster CA" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -out "$ca/ca.crt"
fi
names=
for n in "$@"; do
  case $n in
    *:* | [0-9]*.[0-9]*.[0-9]*.[0-9]*) names="$names,IP:$n" ;;
    *) names="$names,DNS:$n" ;;
  esac
done
openssl ecparam -name prime256v1 -genkey -noout -out "$ca/$name/node.key"
openssl req -new -key "$ca/$name/node.key" -sha256 -subj "/O=Vitrine cluster/CN=$name" -out "$ca/$name/node.csr"
cat > "$ca/$name/node.ext" <<EXT
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
subjectAltName=${names#,}
EXT
openssl x509 -req -in "$ca/$name/node.csr" -CA "$ca/ca.crt" -CAkey "$ca/ca.key" -CAcreateserial -sha256 -days 730 \
  -extfile "$ca/$name/node.ext" -out "$ca/$name/node.crt" 2> "$ca/$name/openssl.log" ||
  { cat "$ca/$name/openssl.log" >&2; exit 1; }
rm -f "$ca/$name/node.csr" "$ca/$name/node.ext" "$ca/$name/openssl.log"
cp "$ca/ca.crt" "$ca/$name/ca.crt"
