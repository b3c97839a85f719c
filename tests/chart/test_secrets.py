"""Passwords: made once, kept, and never asked of whoever brings their own."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from jobcore.models.api_keys import KeyDigest
from jobcore.sealing.keys import SecretKeys
from jobcore.settings import CoreSettings
from tests.chart.apiserver import ApiServer
from tests.chart.helm import NAMESPACE, RELEASE, Helm
from tests.chart.objects import Objects

KEPT = {"helm.sh/resource-policy": "keep"}


def existing(kind: str, name: str, **data: str) -> dict[str, Any]:
    """An object that an earlier installation of the release left in the cluster."""
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {"app.kubernetes.io/managed-by": "Helm"},
            "annotations": {"meta.helm.sh/release-name": RELEASE, "meta.helm.sh/release-namespace": NAMESPACE},
        },
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_a_password_is_made_at_random_and_survives_an_uninstall(helm: Helm, default: Objects, store: str) -> None:
    made = default.one("Secret", f"longrun-{store}")
    again = helm.render().one("Secret", f"longrun-{store}")
    assert made["metadata"]["annotations"] == KEPT
    assert len(made["stringData"]["password"]) >= 32
    assert made["stringData"]["password"] != again["stringData"]["password"]


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_a_password_that_exists_never_changes(each_helm: Helm, store: str) -> None:
    name = f"longrun-{store}"
    kept = [existing("Secret", f"longrun-{each}", password=f"of-{each}") for each in ("postgres", "redis")]
    with ApiServer(kept) as server:
        objects = each_helm.render(None, *server.asked)
    assert objects.one("Secret", name)["stringData"]["password"] == f"of-{store}"
    assert f":of-{store}@" in objects.one("Secret", name)["stringData"]["url"]


def test_the_first_admin_key_is_one_that_the_api_accepts_and_never_changes(each_helm: Helm) -> None:
    keys = {each_helm.render().one("Secret", "longrun-bootstrap-key")["stringData"]["key"] for _ in range(2)}
    assert len(keys) == 2
    assert all(KeyDigest.of(key) for key in keys)
    with ApiServer([existing("Secret", "longrun-bootstrap-key", key="lr_kept")]) as server:
        kept = each_helm.render(None, *server.asked).one("Secret", "longrun-bootstrap-key")
    assert kept["stringData"]["key"] == "lr_kept"
    assert kept["metadata"]["annotations"] == KEPT


def test_the_api_asks_for_keys_unless_a_proxy_does(helm: Helm) -> None:
    for auth, secret in (
        ({}, "longrun-bootstrap-key"),
        ({"existingSecret": "mine"}, "mine"),
        ({"mode": "proxy"}, None),
    ):
        objects = helm.render({"auth": auth})
        env = {each["name"]: each for each in objects.pod("Deployment", "longrun-api").spec["containers"][0]["env"]}
        assert env["LONGRUN_AUTH"]["value"] == auth.get("mode", "keys")
        given = env.get("LONGRUN_BOOTSTRAP_KEY", {}).get("valueFrom", {}).get("secretKeyRef")
        assert given == (secret and {"name": secret, "key": "key"})
        assert ("longrun-bootstrap-key" in objects.of("Secret")) == (secret == "longrun-bootstrap-key")


def test_the_key_that_encrypts_secrets_is_one_that_longrun_accepts_and_never_changes(each_helm: Helm) -> None:
    keys = {each_helm.render().one("Secret", "longrun-secret-keys")["stringData"]["keys"] for _ in range(2)}
    assert len(keys) == 2
    for key in keys:
        assert CoreSettings(secret_keys=key).secret_keys == (key,)
        assert SecretKeys([key]).seal("{}", "echo", None)
    with ApiServer([existing("Secret", "longrun-secret-keys", keys="new,old")]) as server:
        kept = each_helm.render(None, *server.asked).one("Secret", "longrun-secret-keys")
    assert kept["stringData"]["keys"] == "new,old"
    assert kept["metadata"]["annotations"] == KEPT


@pytest.mark.parametrize(("values", "secret"), [({}, "longrun-secret-keys"), ({"existingSecret": "mine"}, "mine")])
def test_all_workloads_have_the_keys_that_encrypt_secrets(helm: Helm, values: dict[str, str], secret: str) -> None:
    objects = helm.render({"secretKeys": values})
    for name in ("api", "worker", "scraper-worker"):
        env = {each["name"]: each for each in objects.pod("Deployment", f"longrun-{name}").main["env"]}
        assert env["LONGRUN_SECRET_KEYS"]["valueFrom"]["secretKeyRef"] == {"name": secret, "key": "keys"}
    assert ("longrun-secret-keys" in objects.of("Secret")) == (secret == "longrun-secret-keys")


OIDC = {"issuer": "https://id.example.com", "audience": ["longrun", "other"]}


@pytest.mark.parametrize("mode", ["oidc", "keys,oidc"])
def test_the_api_knows_the_openid_provider_whose_tokens_it_accepts(helm: Helm, mode: str) -> None:
    objects = helm.render({"auth": {"mode": mode, "oidc": OIDC}})
    env = {each["name"]: each for each in objects.pod("Deployment", "longrun-api").spec["containers"][0]["env"]}
    assert env["LONGRUN_AUTH"]["value"] == mode
    assert env["LONGRUN_OIDC_ISSUER"]["value"] == "https://id.example.com"
    assert env["LONGRUN_OIDC_AUDIENCE"]["value"] == "longrun,other"
    with_keys = mode != "oidc"
    assert ("LONGRUN_BOOTSTRAP_KEY" in env) == ("longrun-bootstrap-key" in objects.of("Secret")) == with_keys
    assert bool([each for each in objects.all if each["kind"] == "Pod"]) == with_keys  # `helm test` sends a key


def test_people_sign_in_at_the_provider_as_its_client(helm: Helm) -> None:
    client = {"clientId": "console", "clientExistingSecret": "mine", "publicUrl": "https://longrun.example.com"}
    objects = helm.render({"auth": {"mode": "oidc", "oidc": OIDC | client}})
    env = {each["name"]: each for each in objects.pod("Deployment", "longrun-api").spec["containers"][0]["env"]}
    assert env["LONGRUN_OIDC_CLIENT_ID"]["value"] == "console"
    assert env["LONGRUN_PUBLIC_URL"]["value"] == "https://longrun.example.com"
    secret = env["LONGRUN_OIDC_CLIENT_SECRET"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": "mine", "key": "client-secret"}
    without = {"auth": {"mode": "oidc", "oidc": {**OIDC, "clientId": "console"}}}
    assert "with a clientId set publicUrl" in helm.refusal(without)


def test_tokens_of_an_unknown_provider_are_refused_with_what_to_set(helm: Helm) -> None:
    for known in ({"issuer": OIDC["issuer"]}, {"audience": OIDC["audience"]}):
        assert "auth.oidc: with auth.mode=oidc name the issuer" in helm.refusal(
            {"auth": {"mode": "oidc", "oidc": known}}
        )


def test_a_database_whose_password_is_gone_is_not_locked_up_with_a_new_one(each_helm: Helm) -> None:
    with ApiServer([existing("PersistentVolumeClaim", "data-longrun-postgres-0")]) as server:
        refusal = each_helm.refusal({}, *server.asked)
    assert (
        "data-longrun-postgres-0 holds a database, but the Secret longrun-postgres with its password is gone" in refusal
    )


def test_pods_start_anew_when_a_secret_of_the_users_changes(helm: Helm) -> None:
    values = {"postgres": {"auth": {"existingSecret": "mine"}}}

    def checksum(url: str) -> str:
        same = [
            existing("Secret", "longrun-redis", password="same"),
            existing("Secret", "longrun-bootstrap-key", key="same"),
            existing("Secret", "longrun-secret-keys", keys="same"),
        ]
        with ApiServer([existing("Secret", "mine", url=url), *same]) as server:
            objects = helm.render(values, *server.asked)
        annotations = objects.pod("Deployment", "longrun-worker").metadata["annotations"]
        return str(annotations["checksum/secrets"])

    assert checksum("postgresql://a:b@c/d") == checksum("postgresql://a:b@c/d") != checksum("postgresql://a:new@c/d")


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_a_secret_of_the_users_is_used_and_none_is_made(helm: Helm, store: str) -> None:
    objects = helm.render({store: {"auth": {"existingSecret": "mine"}}})
    assert f"longrun-{store}" not in objects.of("Secret")
    text = str(objects.pod("StatefulSet", f"longrun-{store}").spec)
    assert "'mine'" in text
    assert url_secrets(objects)[store] == {("mine", "url")}


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_an_external_store_is_reached_by_the_users_secret_and_none_is_installed(helm: Helm, store: str) -> None:
    objects = helm.render({store: {"enabled": False, "external": {"existingSecret": "managed"}}, **elsewhere(store)})
    assert url_secrets(objects)[store] == {("managed", "url")}
    assert not [
        each
        for each in objects.all
        if each["metadata"]["name"] == f"longrun-{store}" and each["kind"] != "NetworkPolicy"
    ]


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_an_external_store_without_a_secret_is_refused_with_an_example(helm: Helm, store: str) -> None:
    refusal = helm.refusal({store: {"enabled": False}, **elsewhere(store)})
    assert f"{store}.external.existingSecret: with {store}.enabled=false, name a Secret whose key `url` is" in refusal


def elsewhere(store: str) -> dict[str, Any]:
    """Where network policies let pods reach an external store."""
    return {"networkPolicy": {store: {"to": [{"ipBlock": {"cidr": "10.1.0.0/24"}}]}}}


def url_secrets(objects: Objects) -> dict[str, set[tuple[str, str]]]:
    """Where pods have DATABASE_URL and REDIS_URL from: (Secret, key)."""
    names = {"DATABASE_URL": "postgres", "REDIS_URL": "redis"}
    found: dict[str, set[tuple[str, str]]] = {"postgres": set(), "redis": set()}
    for each in (each for pod in objects.pods for container in pod.containers for each in container.get("env", [])):
        if each["name"] in names:
            reference = each["valueFrom"]["secretKeyRef"]
            found[names[each["name"]]].add((reference["name"], reference["key"]))
    return found
