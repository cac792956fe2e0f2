# build.sh as its users meet it: help for everything, wrong use with exit 2
# and a hint, clear words when something cannot be.  On a copy, so that the
# state of var/ does not matter.

use strict;
use warnings;

use lib 't/lib';
use Exam;
use File::Path qw(make_path);
use IO::Socket::INET;
use Test::More;

my $root = Exam::dir() . '/copy';
my @commands = qw(deps build up down status env demo test bench lint clean);

make_path("$root/bench");
system("cp -r build.sh util nginx-conf config Makefile $root/") == 0
    or die "cannot copy\n";
Exam::spew("$root/bench/one.sh", "#!/bin/sh\n# what it measures\necho ran\n");


sub build {
    my ($env, @args) = @_;
    my @env = map { "$_=$env->{$_}" } keys %$env;
    return Exam::run('env', @env, "$root/build.sh", @args);
}


sub sh {
    my ($script, %env) = @_;
    local @ENV{keys %env} = values %env;
    return Exam::run('bash', '-c', "set -euo pipefail; ROOT=$root;"
        . " . $root/util/common.sh; . $root/util/stack.sh;"
        . " . $root/util/apt.sh; $script");
}


my ($rc, $out, $err) = build({}, '--help');
is $rc, 0, 'help';
like $out, qr/^  \Q$_\E +\w/m, "help names $_" for @commands;

for my $command (@commands) {
    ($rc, $out, $err) = build({}, $command, '--help');
    is $rc, 0, "$command --help";
    like $out, qr{^usage: .*\./build\.sh $command}, "$command: usage";
    is $err, '', "$command --help says nothing else";

    ($rc, $out, $err) = build({}, $command, '--nonsense');
    is $rc, 2, "$command: unknown option";
    like $err, qr{build\.sh: .*nonsense|bench wants|no bench}s,
        "$command: says which";
    like $err, qr{try: \./build\.sh $command --help}, "$command: hint";
    is $out, '', "$command: nothing done";
}

($rc, $out, $err) = build({});
is $rc, 2, 'no command';

($rc, $out, $err) = build({}, 'nonsense');
is $rc, 2, 'unknown command';
like $err, qr{unknown command "nonsense"\ntry: \./build\.sh --help},
    'unknown command: hint';

($rc, $out, $err) = build({}, 'test', 'no-such-part');
is $rc, 2, 'unknown part';
like $err, qr/unknown part "no-such-part"; there are core lint unit/,
    'unknown part: those there are';

($rc, $out, $err) = build({}, 'build', '--asan', '--dynamic');
is $rc, 2, 'two flavours';

($rc, $out, $err) = build({}, 'bench', '--help');
like $out, qr/^  one +what it measures$/m, 'benches are listed';


# nothing was ever started

($rc, $out, $err) = build({}, 'env');
is $rc, 1, 'env before up';
like $err, qr{\./build\.sh up}, 'env before up: hint';

($rc, $out, $err) = build({}, 'status');
is $rc, 1, 'status before up';
like $out, qr/^nginx +stopped$/m, 'status before up: stopped';

($rc, $out, $err) = build({}, 'down');
is $rc, 0, 'down before up';


# wrong values

($rc, $out, $err) = build({ NGINX_VERSION => '9.9' }, 'deps');
is $rc, 1, 'unknown nginx';
like $err, qr/"9\.9": 1\.22 and 1\.26 are offered/, 'unknown nginx: offer';

($rc, $out, $err) = build({ NGINX_SRC => '/nonexistent' }, 'deps');
is $rc, 1, 'NGINX_SRC without a tree';
like $err, qr{NGINX_SRC "/nonexistent"}, 'NGINX_SRC without a tree: named';

($rc, $out, $err) = build({ PORT => 'x' }, 'up');
is $rc, 1, 'PORT is no number';
like $err, qr/PORT "x" is not a port/, 'PORT is no number: named';

my $long = Exam::dir() . '/' . 'l' x 90;
mkdir $long;
system("cp -r $root/build.sh $root/util $root/nginx-conf $long/");

# somebody else's stack may have the usual port

{
    local $ENV{PORT} = Exam::Process::free_port();
    ($rc, $out, $err) = Exam::run("$long/build.sh", 'up');
}

is $rc, 1, 'path too long for a socket';
like $err, qr/too long for unix sockets/, 'path too long: said';


# a port that is taken

my $listen = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1');
my $port = $listen->sockport;

($rc, $out, $err) = sh("need_port $port");
is $rc, 1, 'port taken';
like $err, qr/port $port is taken by process $$ \(.*PORT=@{[ $port + 1 ]}/s,
    'port taken: by whom, and what to do';

$listen->close;
($rc, $out, $err) = sh("need_port $port");
is $rc, 0, 'port free';


# a pid file alone proves nothing

make_path("$root/var/run");
Exam::spew("$root/var/run/nginx.pid", "$$\n");
($rc, $out, $err) = sh('service_pid nginx');
is "$rc $out", '1 ', "another program's pid";

Exam::spew("$root/var/run/nginx.pid", "../../etc\n");
($rc, $out, $err) = sh('service_pid nginx');
is "$rc $out", '1 ', 'no pid';


# apt's own sources, in both formats

my $etc = Exam::dir() . '/apt';
my ($codename) = Exam::slurp('/etc/os-release')
                 =~ /^VERSION_CODENAME=(\w+)/m;
$codename //= 'stable';
make_path("$etc/sources.list.d");

Exam::spew("$etc/sources.list", <<"END");
deb cdrom:[disc]/ $codename main
# deb http://off.example/debian $codename main
deb [arch=amd64 signed-by=/k] http://one.example/debian $codename main contrib
deb http://one.example/debian-security $codename-security main
END
($rc, $out) = sh('apt_mirror main', APT_ETC => $etc);
is $out, "http://one.example/debian\n", 'one-line format';
($rc, $out) = sh('apt_mirror security', APT_ETC => $etc);
is $out, "http://one.example/debian-security\n", 'one-line format, security';

unlink "$etc/sources.list";
Exam::spew("$etc/sources.list.d/a.sources", <<"END");
Types: deb
URIs: http://off.example/debian
Suites: $codename
Enabled: no

Types: deb
URIs: http://other.example/tool
Suites: $codename
Components: main

Types: deb
URIs: http://two.example/debian
Suites: $codename $codename-updates
Components: main

Types: deb
URIs: http://two.example/debian-security
Suites: $codename-security
END
($rc, $out) = sh('apt_mirror main', APT_ETC => $etc);
is $out, "http://two.example/debian\n", 'deb822 format';
($rc, $out) = sh('apt_mirror security', APT_ETC => $etc);
is $out, "http://two.example/debian-security\n", 'deb822 format, security';

unlink "$etc/sources.list.d/a.sources";
($rc, $out) = sh('apt_mirror main', APT_ETC => $etc);
is "$rc $out", "0 \n", 'no mirror';

done_testing;
