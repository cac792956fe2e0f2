# Behind a proxy: nginx with TLS and another path, that passes bodies on as they
# come.  Clients are told addresses of that (exam_public_url), and an upload
# goes on where the proxy's client was cut off.

use strict;
use warnings;

use lib 't/lib', 't/clients/lib';

use Test::More;

use Exam;
use Clients;
use Proxy;
use Scene;

Clients::need('npm');

# the proxy first: its address stands in the other one's configuration

my $socket = Exam::dir() . '/node';
my $front = Exam::server(http => '', listen => ' ssl',
    allow => [qr/connect\(\) to unix:.* failed/, qr/prematurely closed/,
              qr/recv\(\) failed .* from upstream/],
    server => Exam::tls_lines() . <<"END");
        location /exams/ {
            proxy_pass http://unix:$socket:/;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Host \$host;
            proxy_set_header X-Forwarded-Proto \$scheme;
            client_max_body_size 0;
        }
END
my $net = Proxy->new($front, tls => 'first');

$net->{url} .= '/exams';

my $scene = Scene->new(http => { exam_public_url => $net->url }, net => $net,
                       server => "    listen unix:$socket;\n");

local $ENV{NODE_EXTRA_CA_CERTS} = Exam::certificate();
my $node = Clients->node;
my ($up, $name);


sub urls_are_public {
    my @urls = map { $_->{url} } $node->history($up->{id}, 'request');

    is_deeply([grep { index $_, $net->url . '/api/v1/uploads' } @urls], [],
              "$name: all requests go to the proxy");
}


$name = 'not disturbed';
$up = $scene->begin($node);
$scene->finished($up, $name);
is($scene->requests($up), 'POST PATCH', "$name: two requests");
urls_are_public();

$name = 'cut';
$up = $scene->begin_and_stop($node, name => $name);
$net->cut;
$net->free;
$scene->went_on($up, $name);
$scene->finished($up, $name);
urls_are_public();

# the proxy says 502 as long as nobody answers it

$name = 'all processes killed';
$up = $scene->begin_and_stop($node, name => $name);
kill 'KILL', $scene->{nginx}->workers;
$net->free;
$scene->went_on($up, $name);
$scene->finished($up, $name);

$name = 'by the draft of the IETF';
$up = $scene->begin($node, as => 'buffer',
                    options => { protocol => 'ietf-draft-05' });
$scene->finished($up, $name);
urls_are_public();

# with 104 responses, which nginx as a proxy would take for the answer

my $n = $scene->{n}++;
my ($rc, $out, $err) = Exam::run('curl', '-sS', '-m', 30, '--cacert',
    Exam::certificate(), '-H', "Authorization: Bearer $scene->{token}", '-H',
    'Upload-Draft-Interop-Version: 8', '-H', 'Upload-Complete: ?1', '-H',
    'Content-Type: video/mp4', '--data-binary', '@' . Scene::video(),
    $net->url . "/api/v1/uploads?kind=screen&n=$n");

is($rc, 0, 'curl by the draft: has an answer') or diag $err;
like($out, qr/"state":"received"/, 'curl by the draft: the right one');

$scene->no_parts('no part is left');
is($node->stop, 0, 'the client leaves in order');
is($net->stop, 0, 'the network, too');
done_testing();
