# Every configuration in nginx-conf passes nginx -t as it is, copied into a
# prefix as an operator does, and so does what `up` makes of single.conf.

use strict;
use warnings;

use lib 't/lib';
use Exam;
use File::Path qw(make_path);
use Test::More;

my $root = $Exam::Process::Root;
my $nginx = $ENV{TEST_NGINX_BINARY} // Exam::bin('nginx');
my $prefix = Exam::dir() . '/prefix';

make_path("$prefix/run", "$prefix/log", "$prefix/spool");
Exam::spew("$prefix/keys", Exam::slurp(Exam::keys_file()));
chmod 0600, "$prefix/keys";
system("cp $root/nginx-conf/* $prefix/") == 0 or die "cannot copy\n";

my ($made) = Exam::run('openssl', 'req', '-x509', '-newkey', 'rsa:2048',
                       '-nodes', '-subj', '/CN=localhost', '-keyout',
                       "$prefix/cert.key", '-out', "$prefix/cert.pem");
die "cannot make a certificate\n" if $made;

# the word that nginx before 1.25.1 has for it

my (undef, undef, $version) = Exam::run($nginx, '-v');
my ($minor) = $version =~ m{nginx/1\.(\d+)};
my $tls = Exam::slurp("$prefix/tls.conf");

like $tls, qr/^ *http2_body_preread_size 512k;$/m,
    'tls.conf: a window that uploads over HTTP/2 can do with';

if ($minor < 25) {
    $tls =~ s/^ *http2 +on;$//m;
    $tls =~ s/^( *listen .* ssl)/$1 http2/m;
    Exam::spew("$prefix/tls.conf", $tls);
}

for my $conf (glob "$prefix/*.conf") {
    my $name = $conf =~ s{.*/}{}r;
    my ($rc, $out, $err) = Exam::run($nginx, '-t', '-p', "$prefix/",
                                     '-c', $conf);
    is $rc, 0, "$name is valid" or diag $err;
    unlike $err, qr/\[(?:warn|error|crit|alert|emerg)\]/, "$name: no warning";

    like Exam::slurp($conf), qr/^ *exam_heartbeat_rate 2r\/s burst=20;$/m,
        "$name: the heartbeat rate has a line of its own";
    like Exam::slurp($conf), qr{^ +location / \{\n +return +404;$}m,
        "$name: nothing is looked for in nginx's html folder";
}

my $script = "set -euo pipefail; ROOT=$root; . $root/util/common.sh;"
             . " . $root/util/up.sh; PORT=18999; render_conf";
my ($rc, $out, $err) = Exam::run('bash', '-c', $script);
is $rc, 0, 'single.conf is rendered' or diag $err;
like $out, qr/^ *listen +18999 /m, 'rendered: the port';
like $out, qr/^user +root;$/m, 'rendered: the user' if $> == 0;

Exam::spew("$prefix/nginx.conf", $out);
($rc, $out, $err) = Exam::run($nginx, '-t', '-p', "$prefix/",
                              '-c', "$prefix/nginx.conf");
is $rc, 0, 'rendered: valid' or diag $err;

done_testing;
