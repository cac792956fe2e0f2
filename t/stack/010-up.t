# The first command of a newcomer: `up` in an empty folder, with its demo; a
# second `up`, an edited configuration, a taken port, every process killed in
# turn, `down`.  In a folder of its own, beside a running stack.

use strict;
use warnings;

use lib 't/lib';
use Digest::SHA;
use Exam;
use IO::Socket::INET;
use Test::More;

plan skip_all => 'one flavour is enough'
    if ($ENV{EXAM_FLAVOUR} // 'static') ne 'static';

my $root = $Exam::Process::Root;
my $var = Exam::dir() . '/var';
my $port = Exam::Process::free_port();

$ENV{EXAM_VAR} = $var;
delete $ENV{PORT};


sub build { return Exam::run("$root/build.sh", @_) }


# What `env` prints, as a shell reads it.

sub env {
    my @names = qw(URL NGINX_BIN NGINX_CONF NGINX_PID WORKER_PID REDIS_SOCKET
                   MYSQL_SOCKET MYSQL_DATABASE SPOOL RECORDINGS EXAMCTL
                   DEMO_EXAM DEMO_STUDENT DEMO_CODE);
    my ($rc, $out) = Exam::run('sh', '-c', "eval \"\$($root/build.sh env)\""
        . join '', map { "; echo \"$_=\$$_\"" } @names);

    return map { split /=/, $_, 2 } split /\n/, $out;
}


sub pids {
    return map { $_ => Exam::slurp("$var/run/$_.pid") =~ s/\s//gr }
           qw(redis mysql worker nginx);
}


sub rows {
    my ($env) = @_;

    return map { [split /\t/] } split /\n/, (Exam::run('mariadb',
        qw(--no-defaults -uroot --batch -N -S), $env->{MYSQL_SOCKET}, '-e',
        'SELECT kind, n, video_codec, audio_codec, width, height, media_ms,'
        . ' bytes, LOWER(HEX(sha256)), path, playable FROM recordings'
        . " WHERE exam = '30' ORDER BY kind, n",
        $env->{MYSQL_DATABASE}))[1];
}


END { build('down') if $ENV{EXAM_VAR} && -d $var }


# a new stack

$ENV{PORT} = $port;
my ($rc, $out, $err) = build('up');
delete $ENV{PORT};

is $rc, 0, 'up' or die "up failed: $out$err";
like $out, qr/logged in: .*Demo exam/, 'the candidate logs in';
like $out, qr/heartbeat 1: stored/, 'the candidate beats';
like $out, qr{screen/1: stored}, 'the candidate waits until all is stored';
like $out, qr/heartbeat \d+: stored \{(?=.*'screen': 1)(?=.*'camera': 0)/,
    'the heartbeats say so';
like $out, qr{vp8/opus .*640x360}, 'the rows are printed';

my %env = env();
my @rows = rows(\%env);

is scalar @rows, 3, 'three recordings';

for my $row (@rows) {
    my ($kind, $n, $video, $audio, $width, $height, $ms, $bytes, $sha256,
        $path, $playable) = @$row;
    my $file = "$env{RECORDINGS}/$path";

    is "$video $audio $playable", 'vp8 opus 1', "$kind $n: codecs";
    is "${width}x$height", $kind eq 'screen' ? '640x360' : '320x240',
        "$kind $n: resolution";
    cmp_ok $ms, '>=', 3900, "$kind $n: duration";
    cmp_ok $ms, '<=', 4200, "$kind $n: duration";
    is -s $file, $bytes, "$kind $n: file";
    is +Digest::SHA->new(256)->addfile($file)->hexdigest, $sha256,
        "$kind $n: hash";
    like $out, qr/$sha256/, "$kind $n: printed";

    my ($played, undef, $why) = Exam::run('ffmpeg', qw(-v error -nostdin -i),
                                          $file, qw(-f null -));
    is "$played $why", '0 ', "$kind $n: plays";
}

my ($probe) = grep { $_->[0] eq 'screen' && $_->[1] == 1 } @rows;
like +(Exam::run('ffprobe', qw(-v error -show_entries format=duration -of
    default=nw=1:nk=1), "$env{RECORDINGS}/$probe->[9]"))[1], qr{N/A},
    'the header of screen 1 has no duration';


# env

is $env{URL}, "http://127.0.0.1:$port", 'env: URL';
ok -x $env{$_}, "env: $_" for qw(NGINX_BIN EXAMCTL);
ok -f $env{NGINX_CONF}, 'env: NGINX_CONF';
ok -S $env{$_}, "env: $_" for qw(REDIS_SOCKET MYSQL_SOCKET);
ok -d $env{$_}, "env: $_" for qw(SPOOL RECORDINGS);
ok kill(0, $env{$_}), "env: $_" for qw(NGINX_PID WORKER_PID);

my $login = Exam::request('POST', "$env{URL}/api/v1/login", {}, {
    exam => $env{DEMO_EXAM}, student => $env{DEMO_STUDENT},
    code => $env{DEMO_CODE} });
is $login->{status}, 200, 'env: the demo candidate';


# the README's look into MySQL, in both languages

for my $readme (qw(README.md README.zh-CN.md)) {
    my ($look) = Exam::slurp("$root/$readme")
                 =~ /^(mariadb .*?"\n.*?"\n)/ms;
    my ($failed, $said, $why) = Exam::run('bash', '-c',
        "eval \"\$($root/build.sh env)\"\n" . ($look // 'exit 9'));

    is $failed, 0, "$readme: the query of MySQL" or diag $why;
    is_deeply [$said =~ m{(\Q$env{RECORDINGS}\E/\S+)}mg],
        [map { "$env{RECORDINGS}/$_->[9]" } @rows],
        "$readme: the files that the query names";
}


# a browser that looks what is there

my $page = Exam::request('GET', "$env{URL}/");
is $page->{status}, 404, 'no page';
unlike Exam::slurp("$var/log/error.log"), qr{"GET / HTTP},
    'no page: that is no error of the server';


# what is printed for pasting

my ($paste) = $out =~ /^Log in as the demo candidate.*\n\n((?: {2}.+\n)+)/m;
my ($pasted) = (Exam::run('sh', '-c', "cd $root\n" . ($paste // 'exit')))[1];
like $pasted, qr/"token" ?: ?"[^"]/, 'the printed login works as it is'
    or diag $paste;


# again, on the running stack

my %before = pids();
($rc, $out, $err) = build('up');
is $rc, 0, 'up again' or diag $err;
unlike $out, qr/logged in|==> (?:Redis|MariaDB|nginx|exam-worker)$/m,
    'up again: nothing is started or played';
is_deeply [$out =~ /^ {4}(\w+ \d+)  vp8\/opus/mg],
    ['camera 0', 'screen 0', 'screen 1'], 'up again: the rows';
unlike $out, qr/ more$/m, 'up again: all of them';
is_deeply { pids() }, \%before, 'up again: the same processes';

($rc, $out) = build('status');
is $rc, 0, 'status';
like $out, qr/^nginx +running  pid $before{nginx}$/m, 'status: nginx';
like $out, qr/^recordings +3 stored, 0 waiting/m, 'status: figures';


# many rows: those of the demo candidate, the first twenty

sub insert {
    my ($student, $kind, $n, $playable) = @_;
    my $id = "$env{DEMO_EXAM}$student$kind$n";

    return "('$id', '30', '$student', REPEAT('a', 32), '$kind', $n, 7,"
           . " REPEAT('x', 32), 'video/webm', 1, 2, 'n1', 'local', '$id',"
           . " $playable)";
}


sub sql {
    my ($rc, $out, $err) = Exam::run('mariadb', qw(--no-defaults -uroot -S),
        $env{MYSQL_SOCKET}, '-e', @_, $env{MYSQL_DATABASE});
    BAIL_OUT("sql: $err") if $rc != 0;
}


sql('INSERT INTO recordings (upload_id, exam, student, session, kind, n, bytes,'
    . ' sha256, content_type, received_at, stored_at, node, store, path,'
    . ' playable) VALUES ' . join ',', insert('OTHER', 'camera', 1, 1),
    map { insert($env{DEMO_STUDENT}, 'camera', $_, $_ % 2 ? 0 : 'NULL') }
        reverse 1 .. 25);
($rc, $out) = build('up');
is $rc, 0, 'up with many rows';
is_deeply [$out =~ /^ {4}(\w+ \d+  (?:not \w+|\S+  \d+x\d+))  /mg],
    ['camera 0  vp8/opus  320x240',
     map { "camera $_  not " . ($_ % 2 ? 'playable' : 'probed') } 1 .. 19],
    '... the first of the demo candidate' or diag $out;
like $out, qr/^ {4}and 8 more$/m, '... and how many more';
unlike $out, qr/OTHER/, '... of no one else';
sql("DELETE FROM recordings WHERE path LIKE '30%' AND node = 'n1'"
    . " AND bytes = 7");


# an edited configuration: HUP applies it, up leaves it alone

# a port that somebody else has: nothing is changed for it

{
    my $other = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')
        or die "cannot listen: $!\n";
    local $ENV{PORT} = $other->sockport;
    my $before = Exam::slurp($env{NGINX_CONF});

    ($rc, $out, $err) = build('up');
    is $rc, 1, 'up with a port that is taken';
    like $err, qr/port $ENV{PORT} is taken by process $$ /, '... says by whom';
    is Exam::slurp($env{NGINX_CONF}), $before, '... and changes nothing';
}

my $conf = Exam::slurp($env{NGINX_CONF});
ok $conf =~ s/^( *exam_heartbeat_rate) 2r\/s burst=20;$/$1 0;/m,
    'the heartbeat rate has a line of its own';
Exam::spew($env{NGINX_CONF}, $conf);
kill 'HUP', $env{NGINX_PID};
($rc, $out, $err) = build('up');
is $rc, 0, 'up with an edited configuration' or diag $err;
is Exam::slurp($env{NGINX_CONF}), $conf, 'the edit stays';

{
    local $ENV{PORT} = $port + 1;
    ($rc, $out, $err) = build('up');
    is $rc, 1, 'another port with an edited configuration';
    like $err, qr/was edited and listens on $port/, '... says why not';
}


# over: up opens it again

($rc) = Exam::run($env{EXAMCTL}, qw(exam close 30));
is $rc, 0, 'the demo exam is closed';
($rc, $out, $err) = build('up');
is $rc, 0, 'up with a closed demo exam' or diag $err;
like +(Exam::run($env{EXAMCTL}, qw(exam show 30 --json)))[1],
    qr/"state" ?: ?"open"/, 'it is open again';
unlike $out, qr/logged in/, '... and nothing is played';


# each process killed: up starts it again, and everything is still there

my %kill = (
    'nginx worker' => sub {
        (split ' ', Exam::slurp("/proc/$_[0]{nginx}/task/$_[0]{nginx}"
                                . '/children'))[0];
    },
    'nginx master' => sub { $_[0]{nginx} },
    'exam-worker' => sub { $_[0]{worker} },
    'Redis' => sub { $_[0]{redis} },
    'MariaDB' => sub { $_[0]{mysql} },
);

# what status still tells; without the master nginx's workers answer
my $unknown = qr/^recordings +unknown number stored, 0 waiting/m;
my $known = qr/^recordings +3 stored, 0 waiting/m;

for my $name (sort keys %kill) {
    my %pids = pids();
    my $pid = $kill{$name}->(\%pids);

    kill 'KILL', $pid;
    Exam::wait_for { !-e "/proc/$pid/exe" || !readlink "/proc/$pid/exe" };

    ($rc, $out) = build('status');
    is $rc, $name eq 'nginx worker' ? 0 : 1, "$name killed: status";
    like $out, qr/^address +\Q$env{URL}\E$/m, "$name killed: the address";
    like $out, $name eq 'MariaDB' ? $unknown : $known,
        "$name killed: what is stored";
    like $out, qr/^sessions +\d+, \d+ online$/m,
        "$name killed: what nginx tells";

    ($rc, $out, $err) = build('up');
    is $rc, 0, "$name killed: up" or diag "$out$err";
    unlike $out, qr/logged in/, "$name killed: nothing is played";
    is scalar(rows(\%env)), 3, "$name killed: the rows are there";
    is Exam::request('GET', "$env{URL}/ready", {}, undef,
                     fresh => 1)->{status}, 200, "$name killed: ready";
    ok +(Exam::wait_for {
        my $s = Exam::request('GET', "$env{URL}/status", {}, undef,
                              fresh => 1);
        ref $s->{json}{degraded} && !@{ $s->{json}{degraded} };
    } 20), "$name killed: nothing is degraded";
}


# a lost pid file

unlink "$var/run/redis.pid";
($rc, $out, $err) = build('up');
is $rc, 0, 'a pid file is lost' or diag "$out$err";
is scalar(rows(\%env)), 3, '... and nothing else';


# down, and a port that is taken

($rc, $out, $err) = build('down');
is $rc, 0, 'down' or diag $err;
ok !-e $env{$_}, "down: $_ is gone" for qw(REDIS_SOCKET MYSQL_SOCKET);
ok !kill(0, $_), "down: $_ ended" for $env{NGINX_PID}, $env{WORKER_PID};

Exam::spew("$env{SPOOL}/ready/$_.info", '{}') for 1, 2;
($rc, $out) = build('status');
is $rc, 1, 'status after down';
like $out, qr/^address +\Q$env{URL}\E\nsessions +unknown$/m,
    '... tells the address';
like $out, qr/^recordings +unknown number stored, 2 waiting/m,
    '... tells what waits';
unlink map { "$env{SPOOL}/ready/$_.info" } 1, 2;

my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1',
                                  LocalPort => $port, ReuseAddr => 1)
    or die "cannot take port $port: $!\n";
($rc, $out, $err) = build('up');
is $rc, 1, 'up with its port taken';
like $err, qr/port $port is taken by process $$ /, '... says by whom';
$taken->close;

($rc, $out, $err) = build('up');
is $rc, 0, 'up after down' or diag "$out$err";
unlike $out, qr/logged in/, 'up after down: nothing is played';
is scalar(rows(\%env)), 3, 'up after down: the rows are there';
like +(build('status'))[1], $known, 'up after down: status counts them';

done_testing;
