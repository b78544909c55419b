# What scenario notify talks to: a mail server (STARTTLS, login), a plain one, an HTTPS server, and a port that never answers.
#
# notify-sinks.py DIR: takes DIR/cert.pem and DIR/key.pem, writes DIR/ports (shell assignments) when all listen. Mails go to DIR/mail.N as they were received,
# requests to DIR/hooks as JSON lines. While DIR/down exists, both servers refuse. notify-sinks.py DIR datagrams PATH: writes datagrams sent to the socket PATH
# to DIR/datagrams instead.
import json, os, socket, ssl, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

out = sys.argv[1]


def is_down():
    return os.path.exists(f'{out}/down')


if len(sys.argv) > 2:
    sink = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sink.bind(sys.argv[3])
    open(f'{out}/datagrams', 'wb').close()
    while True:
        data = sink.recv(65536)
        with open(f'{out}/datagrams', 'ab') as file:
            file.write(data + b'\n')

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Mail:
    count = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if is_down() or address.startswith('nobody@'):
            return '550 no such user'
        envelope.rcpt_tos.append(address)
        return '250 OK'

    async def handle_DATA(self, server, session, envelope):
        Mail.count += 1
        with open(f'{out}/mail.part', 'wb') as file:
            file.write(envelope.original_content)
        os.rename(f'{out}/mail.part', f'{out}/mail.{Mail.count}')
        return '250 taken'


def login(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b'bkd' and data.password == b'the-mail-secret', handled=False)


class Hooks(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0))).decode()
        self.send_response(503 if is_down() else 307 if self.path == '/moved' else 200)
        if self.path == '/moved':
            self.send_header('Location', '/hook')
        self.end_headers()
        with open(f'{out}/hooks', 'a') as file:
            file.write(json.dumps({'path': self.path, 'token': self.headers.get('X-Token'), 'refused': is_down(), 'body': body}) + '\n')

    def log_message(self, *args):
        pass


tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(f'{out}/cert.pem', f'{out}/key.pem')


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


ports = {'smtp': free_port(), 'plain': free_port()}
Controller(Mail(), hostname='127.0.0.1', port=ports['smtp'], tls_context=tls, require_starttls=True, auth_required=True, authenticator=login).start()
Controller(Mail(), hostname='127.0.0.1', port=ports['plain']).start()
hooks = ThreadingHTTPServer(('127.0.0.1', 0), Hooks)
hooks.socket = tls.wrap_socket(hooks.socket, server_side=True)
ports['https'] = hooks.server_address[1]
silent = socket.socket()
silent.bind(('127.0.0.1', 0))
silent.listen(16)
ports['silent'] = silent.getsockname()[1]
with open(f'{out}/ports.part', 'w') as file:
    file.writelines(f'{name}_port={port}\n' for name, port in ports.items())
os.rename(f'{out}/ports.part', f'{out}/ports')
hooks.serve_forever()
