from __future__ import annotations

import os

import pytest

from postroom.config.problems import Id
from postroom.tenant import CLOUDS, Certificate, ClientSecret, FederatedToken, ManagedIdentity, Secret

REST = "mailboxes: [{address: a@b.example, rules: [{handle: log}]}]\n"
AKS = {
    "AZURE_TENANT_ID": "aks.example",
    "AZURE_CLIENT_ID": "22222222-2222-2222-2222-222222222222",
    "AZURE_AUTHORITY_HOST": "https://login.microsoftonline.us/",
}


@pytest.fixture
def tenant(read):
    """Read the only tenant of a file with this `tenant:` section."""

    def tenant(section: str, **environ: str):
        return read(f"tenant: {section}\n{REST}", **environ).tenants["default"]

    return tenant


def with_credential(text):
    return f"{{tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, credential: {text}}}"


def with_cloud(text):
    ids = "tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222"
    return f"{{cloud: {text}, {ids}, credential: {{client_secret: s}}}}"


@pytest.mark.parametrize("name", CLOUDS)
def test_a_cloud_is_known_by_its_name(tenant, name):
    assert tenant(with_cloud(name)).cloud == CLOUDS[name]


def test_without_a_cloud_it_is_the_global_one(tenant):
    assert tenant(with_credential("{client_secret: s}")).cloud == CLOUDS["global"]


def test_custom_endpoints_that_are_a_known_clouds_are_that_cloud(tenant):
    cloud = tenant(
        with_cloud("{login: 'https://login.microsoftonline.us/', graph: https://dod-graph.microsoft.us}")
    ).cloud
    assert cloud == CLOUDS["usgov-dod"]


def test_custom_endpoints_of_a_strange_host_need_no_instance_discovery(tenant, secret_file, tmp_path):
    secret_file("ca.pem", 0o644)
    cloud = tenant(with_cloud("{login: http://127.0.0.1:8443, graph: 'http://[::1]:8444/', ca_file: ca.pem}")).cloud
    assert (cloud.name, cloud.known, cloud.delta) == ("custom", False, True)
    assert (cloud.login, cloud.graph) == ("http://127.0.0.1:8443", "http://[::1]:8444")
    assert cloud.ca_file == tmp_path / "ca.pem"


def test_an_empty_ca_file_is_none(tenant):
    cloud = tenant(with_cloud("{login: https://l.example, graph: https://g.example, ca_file: '${CA:-}'}")).cloud
    assert cloud.ca_file is None


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example",
        "ftp://login.example",
        "login.example",
        "https://",
        "https://u:p@x.example",
        "https://x/?q",
        "https://x:y",
    ],
)
def test_tokens_go_to_https_or_to_this_machine_only(problems, url):
    text = f"tenant: {with_cloud(f'{{login: {url!r}, graph: https://g.example}}')}\n{REST}"
    assert [problem.id for problem in problems(text)] == [Id.BAD_URL]


def test_a_secret_as_a_value(tenant):
    assert tenant(with_credential("{client_secret: hush}")).credential == ClientSecret(Secret("hush"))


def test_a_secret_in_a_file_beside_the_configuration(tenant, secret_file):
    path = secret_file()
    credential = tenant(with_credential("{client_secret_file: secret}")).credential
    assert credential == ClientSecret(Secret(file=path))
    assert credential.secret.read() == "hush"


def test_a_certificate_with_its_passphrase(tenant, secret_file):
    certificate, passphrase = secret_file("app.pfx"), secret_file("passphrase")
    text = "{certificate_file: app.pfx, passphrase_file: passphrase, send_chain: true}"
    assert tenant(with_credential(text)).credential == Certificate(
        certificate, Secret(file=passphrase), send_chain=True
    )


def test_a_federated_token_may_be_readable_by_all_of_the_container(read, secret_file):
    path = secret_file("token", 0o644)
    config = read(f"tenant: {with_credential('{federated_token_file: token}')}\n{REST}")
    assert config.tenants["default"].credential == FederatedToken(path)
    assert config.warnings == ()


@pytest.mark.parametrize(
    ("text", "client_id"),
    [("true", ""), ("{client_id: 22222222-2222-2222-2222-222222222222}", "22222222-2222-2222-2222-222222222222")],
)
def test_a_managed_identity_needs_no_ids(tenant, text, client_id):
    made = tenant(f"{{credential: {{managed_identity: {text}}}}}")
    assert (made.credential, made.tenant_id) == (ManagedIdentity(client_id), "")


def test_what_is_left_out_comes_from_workload_identity(tenant, secret_file):
    path = secret_file("token", 0o644)
    made = tenant("{}", AZURE_FEDERATED_TOKEN_FILE=str(path), **AKS)
    assert (made.tenant_id, made.client_id) == ("aks.example", "22222222-2222-2222-2222-222222222222")
    assert (made.credential, made.cloud) == (FederatedToken(path), CLOUDS["usgov"])


def test_what_is_written_wins_over_workload_identity(tenant):
    made = tenant(with_cloud("global"), AZURE_FEDERATED_TOKEN_FILE="/nowhere", **AKS)
    assert (made.tenant_id, made.client_id, made.cloud) == (
        "t.example",
        "22222222-2222-2222-2222-222222222222",
        CLOUDS["global"],
    )
    assert made.credential == ClientSecret(Secret("s"))


def test_the_old_host_of_the_china_cloud_is_known(tenant):
    made = tenant(with_credential("{client_secret: s}"), AZURE_AUTHORITY_HOST="https://login.chinacloudapi.cn")
    assert made.cloud == CLOUDS["china"]


def test_an_authority_of_no_known_cloud_is_a_problem(problems):
    text = f"tenant: {with_credential('{client_secret: s}')}\n{REST}"
    (problem,) = problems(text, AZURE_AUTHORITY_HOST="https://login.elsewhere.example")
    assert problem.id == Id.UNKNOWN_AUTHORITY
    assert "login.elsewhere.example" in problem.text


def test_all_that_is_missing_is_reported(problems):
    assert [(problem.id, problem.path) for problem in problems(f"tenant: {{}}\n{REST}")] == [
        (Id.MISSING_SETTING, "tenant.credential"),
        (Id.MISSING_SETTING, "tenant.tenant_id"),
        (Id.MISSING_SETTING, "tenant.client_id"),
    ]


def test_a_proxy_may_be_plain_http_and_ask_for_a_password(tenant):
    made = tenant(
        "{tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "proxy: 'http://u:p@proxy.example:3128', credential: {client_secret: s}}"
    )
    assert made.proxy == "http://u:p@proxy.example:3128"


def test_the_password_of_a_malformed_proxy_is_not_shown(problems):
    text = (
        "tenant: {tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        "proxy: 'htp://u:hush@proxy', credential: {client_secret: s}}\n"
    )
    (problem,) = problems(text + REST)
    assert problem.id == Id.BAD_URL
    assert "hush" not in str(problem)


def test_the_scope_may_be_written_if_it_is_the_only_one(tenant):
    scope = "https://graph.microsoft.us/.default"
    tenant(
        f"{{cloud: usgov, tenant_id: t.example, client_id: 22222222-2222-2222-2222-222222222222, "
        f"scope: {scope}, credential: {{client_secret: s}}}}"
    )


@pytest.mark.parametrize("setting", ["client_secret_file", "certificate_file"])
def test_a_secret_that_everybody_can_read_is_a_warning(read, secret_file, setting):
    secret_file("s", 0o604)
    config = read(f"tenant: {with_credential(f'{{{setting}: s}}')}\n{REST}")
    (problem,) = config.warnings
    assert (problem.id, problem.severity, problem.path) == (
        Id.SECRET_EXPOSED,
        "warning",
        f"tenant.credential.{setting}",
    )


@pytest.mark.parametrize("name", ["missing", ".", "''", '"nul\\0"'])
def test_a_secret_file_that_is_no_file_is_an_error(problems, name):
    text = f"tenant: {with_credential(f'{{client_secret_file: {name}}}')}\n{REST}"
    assert [problem.id for problem in problems(text)] == [Id.FILE_MISSING]


def test_a_pipe_in_place_of_a_secret_does_not_hang(problems, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    text = f"tenant: {with_credential('{client_secret_file: pipe}')}\n{REST}"
    assert [problem.id for problem in problems(text)] == [Id.FILE_MISSING]


def test_several_tenants_go_by_name(read):
    one = "{tenant_id: t1.example, client_id: 22222222-2222-2222-2222-222222222222, credential: {client_secret: s}}"
    two = "{tenant_id: t2.example, client_id: 22222222-2222-2222-2222-222222222222, credential: {client_secret: s}}"
    config = read(
        f"tenants: {{one: {one}, two: {two}}}\n"
        "mailboxes:\n"
        "  - {address: a@b.example, tenant: two, rules: [{handle: log}]}\n"
        "  - {address: c@d.example, tenant: one, rules: [{handle: log}]}\n"
    )
    assert {name: each.tenant_id for name, each in config.tenants.items()} == {"one": "t1.example", "two": "t2.example"}
    assert [mailbox.tenant for mailbox in config.mailboxes] == ["two", "one"]


def test_a_single_tenant_of_several_need_not_be_named(read):
    config = read(f"tenants: {{one: {with_credential('{client_secret: s}')}}}\n{REST}")
    assert config.mailboxes[0].tenant == "one"


def test_a_mailbox_of_several_tenants_says_which(problems):
    section = with_credential("{client_secret: s}")
    found = problems(f"tenants: {{one: {section}, two: {section}}}\n{REST}")
    assert [problem.id for problem in found if problem.severity == "error"] == [Id.UNKNOWN_TENANT]


def test_the_secret_is_not_in_the_configurations_repr(tenant):
    assert "hush" not in repr(tenant(with_credential("{client_secret: hush}")))
