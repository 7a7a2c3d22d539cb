# Stands before the package python3-openssl on Patroni's PYTHONPATH and refuses to load. Debian's etcd client takes that
# package where it finds it, and then Patroni cannot end a watch on an etcd member that hangs: a standby goes on
# following a primary that is long gone. Python's own TLS, taken instead, has no such fault.
raise ImportError("Patroni uses Python's own TLS (deploy/patroni/python)")
