"""Ways in: Ingress and HTTPRoute, neither of which cuts or buffers a stream; and what the user is told of them."""

from __future__ import annotations

from typing import Any

from tests.chart.apiserver import ApiServer
from tests.chart.helm import CHART, NAMESPACE, RELEASE, Helm
from tests.chart.objects import Objects

LET_IN: dict[str, Any] = {"networkPolicy": {"clients": [{"namespaceSelector": {}}]}}
INGRESS: dict[str, Any] = {
    **LET_IN,
    "ingress": {"enabled": True, "className": "nginx", "host": "jobs.example.com"},
}
ROUTE: dict[str, Any] = {
    **LET_IN,
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["jobs.example.com"]},
}


def test_nothing_is_open_to_the_outside_by_default(default: Objects) -> None:
    assert not default.of("Ingress")
    assert not default.of("HTTPRoute")
    assert {service["spec"].get("type", "ClusterIP") for service in default.of("Service").values()} == {"ClusterIP"}


def test_streams_are_neither_buffered_nor_cut_by_ingress_controllers(helm: Helm) -> None:
    annotations = helm.render(INGRESS).one("Ingress", "longrun-api")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert int(annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]) >= 3600
    assert annotations["projectcontour.io/response-timeout"] == "infinity"


def test_uploads_pass_ingress_controllers_as_they_arrive_whatever_their_size(helm: Helm) -> None:
    annotations = helm.render(INGRESS).one("Ingress", "longrun-api")["metadata"]["annotations"]
    assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == "0", "the default of nginx is 1 MB"
    assert annotations["nginx.ingress.kubernetes.io/proxy-request-buffering"] == "off"


def test_the_api_knows_the_path_under_which_it_is_served(helm: Helm) -> None:
    objects = helm.render({**INGRESS, **ROUTE, "rootPath": "/longrun"})
    [rule] = objects.one("Ingress", "longrun-api")["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/longrun"]
    [route] = objects.one("HTTPRoute", "longrun-api")["spec"]["rules"]
    assert [match["path"]["value"] for match in route["matches"]] == ["/longrun"]
    [api] = objects.one("Deployment", "longrun-api")["spec"]["template"]["spec"]["containers"]
    assert {"name": "LONGRUN_ROOT_PATH", "value": "/longrun"} in api["env"]


def test_annotations_of_the_users_are_added_and_win(helm: Helm) -> None:
    mine = {"nginx.ingress.kubernetes.io/proxy-read-timeout": "7200", "cert-manager.io/cluster-issuer": "acme"}
    values = {**INGRESS, "ingress": {**INGRESS["ingress"], "annotations": mine}}
    annotations = helm.render(values).one("Ingress", "longrun-api")["metadata"]["annotations"]
    assert mine.items() <= annotations.items()
    assert annotations["projectcontour.io/response-timeout"] == "infinity"


def test_an_ingress_leads_to_the_api_and_has_tls_when_it_names_a_certificate(helm: Helm) -> None:
    plain = helm.render(INGRESS).one("Ingress", "longrun-api")["spec"]
    assert plain["ingressClassName"] == "nginx"
    assert "tls" not in plain
    secure = helm.render({**INGRESS, "ingress": {**INGRESS["ingress"], "tlsSecret": "jobs-tls"}}).one(
        "Ingress", "longrun-api"
    )["spec"]
    assert secure["tls"] == [{"hosts": ["jobs.example.com"], "secretName": "jobs-tls"}]
    (rule,) = secure["rules"]
    assert rule["host"] == "jobs.example.com"
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "longrun-api", "port": {"name": "http"}}


def test_an_http_route_has_no_time_limit_for_streams(helm: Helm) -> None:
    spec = helm.render(ROUTE).one("HTTPRoute", "longrun-api")["spec"]
    (rule,) = spec["rules"]
    # with backendRequest beside it Contour takes that one for both
    assert rule["timeouts"] == {"request": "0s"}
    assert rule["backendRefs"] == [{"name": "longrun-api", "port": 80}]
    assert spec["hostnames"] == ["jobs.example.com"]


def test_an_http_route_without_a_gateway_is_refused(helm: Helm) -> None:
    assert "httpRoute.parentRefs: name the Gateway" in helm.refusal({**LET_IN, "httpRoute": {"enabled": True}})


def test_the_notes_say_how_to_reach_it_and_what_is_not_fit_for_production(each_helm: Helm) -> None:
    def notes(values: dict[str, Any]) -> str:
        command = ("install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--dry-run=client")
        with ApiServer([]) as server:  # which Helm 3 wants to reach even so
            done = each_helm.run(*command, *server.reached, values=values)
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("NOTES:")[2]

    alone = notes({"networkPolicy": {"enabled": False}})
    assert "port-forward svc/longrun-api 8000:80" in alone
    assert "no standby" in alone
    assert "networkPolicy.enabled" in alone
    public = notes({**INGRESS, "ingress": {**INGRESS["ingress"], "tlsSecret": "jobs-tls"}})
    assert "export LONGRUN_URL=https://jobs.example.com" in public
    assert "plain HTTP" not in public


def test_helm_test_submits_a_job_and_says_what_to_look_at_when_it_fails(helm: Helm, default: Objects) -> None:
    pod = default.pod("Pod", "longrun-test")
    assert pod.metadata["annotations"]["helm.sh/hook"] == "test"
    assert pod.env["LONGRUN_URL"] == "http://longrun-api:80"
    script = pod.main["args"][0]
    assert "longrun submit" in script
    assert "--follow" in script
    assert "get pods -l app.kubernetes.io/instance=longrun" in script
