"""A browser without scripts: keeps cookies, follows what is on our own pages, sends forms as browsers do."""

import html
import re
import urllib.parse

import requests

import harness


class Page:
    """An answer as a person sees it."""

    def __init__(self, browser, answer):
        self.browser, self.answer = browser, answer
        self.status, self.text = answer.status_code, answer.text
        self.location = answer.headers.get("Location") or self.leads_to()

    def leads_to(self):
        """Where the page leads by itself, out of our server: to a program."""
        found = re.search(r'<meta http-equiv="refresh" content="0; url=([^"]*)">', self.text)
        address = html.unescape(found.group(1)) if found else "/"
        return None if address.startswith("/") else address

    def fields(self):
        """The hidden fields of the page's form."""
        found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', self.text)
        return {html.unescape(name): html.unescape(value) for name, value in found}

    def send(self, **more):
        """Fills the form in and sends it."""
        action = re.search(r'<form method="post" action="([^"]*)"', self.text)
        assert action, self.text
        return self.browser.post(html.unescape(action.group(1)), {**self.fields(), **more})

    def parameters(self):
        """What the address that it leads to says."""
        query = urllib.parse.urlsplit(self.location).query
        return {name: values[0] for name, values in urllib.parse.parse_qs(query).items()}


class Browser:
    """Cookies of one person, towards one server."""

    def __init__(self, server):
        self.server = server
        self.http = requests.Session()

    def open(self, address, **headers):
        url = urllib.parse.urljoin(self.server.url, address)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return Page(self, self.http.get(url, headers=names, allow_redirects=False, timeout=60))

    def post(self, address, fields, **headers):
        names = {"Origin": self.server.url, "Sec-Fetch-Site": "same-origin"}
        names.update({name.replace("_", "-"): value for name, value in headers.items()})
        url = urllib.parse.urljoin(self.server.url, address)
        return Page(self, self.http.post(
            url, data=fields, headers=names, allow_redirects=False, timeout=60))

    def sign_in(self, page, email, password):
        """Signs in on a page that asks for it, and comes to the page behind."""
        entered = page.send(email=email, password=password)
        assert entered.status == 303, entered.text
        return self.open(entered.location)


def signed_in(browser, email):
    """Signs a browser in as our own pages would: the cookie of the login is its."""
    answer = browser.http.post(
        browser.server.url + "/v1/auth/login", json={"email": email, "password": harness.PASSWORD}, timeout=60)
    assert answer.status_code == 200, answer.text
    return browser
