{{/*
The public internet as two peers, without the ranges of IANA's special-purpose registries (RFC 6890) and without the
public ranges of the cluster. Takes root.
*/}}
{{- define "longrun.internet" -}}
- ipBlock:
    cidr: 0.0.0.0/0
    except:
      - 0.0.0.0/8 # this network
      - 10.0.0.0/8 # private
      - 100.64.0.0/10 # carrier-grade NAT, and Alibaba's metadata
      - 127.0.0.0/8 # loopback
      - 168.63.129.16/32 # Azure's metadata, a public address
      - 169.254.0.0/16 # link-local: the metadata service of most clouds
      - 172.16.0.0/12 # private
      - 192.0.0.0/24 # protocol assignments, and Oracle's metadata
      - 192.0.2.0/24 # documentation
      - 192.168.0.0/16 # private
      - 198.18.0.0/15 # benchmarks
      - 198.51.100.0/24 # documentation
      - 203.0.113.0/24 # documentation
      - 224.0.0.0/4 # multicast
      - 240.0.0.0/4 # reserved, broadcast
      {{- range .Values.networkPolicy.clusterCidrs }}{{ if not (contains ":" .) }}
      - {{ . }}
      {{- end }}{{ end }}
- ipBlock:
    cidr: ::/0
    except:
      - ::/16 # unspecified, loopback, addresses that hold an IPv4 address (compatible, mapped, translated)
      - 64:ff9b::/96 # NAT64: leads to any IPv4 address
      - 64:ff9b:1::/48 # NAT64 of one's own
      - 100::/64 # discard
      - 2001::/23 # protocol assignments, Teredo
      - 2001:db8::/32 # documentation
      - 2002::/16 # 6to4: leads to any IPv4 address
      - 3fff::/20 # documentation
      - 5f00::/16 # segment routing
      - fc00::/7 # unique local
      - fe80::/10 # link-local
      - fec0::/10 # site-local
      - ff00::/8 # multicast
      {{- range .Values.networkPolicy.clusterCidrs }}{{ if contains ":" . }}
      - {{ . }}
      {{- end }}{{ end }}
{{- end -}}
