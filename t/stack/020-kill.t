# The promise of a 201: sixteen clients upload while each process of the stack
# is killed in turn, `up` after each.  Every acknowledgement must have its file
# with the right hash and exactly one row; nothing stays behind in the spool.

use strict;
use warnings;

use lib 't/lib';
use Digest::SHA qw(sha256_hex);
use Exam;
use File::Find;
use HTTP::Tiny;
use Test::More;
use Time::HiRes qw(sleep);

plan skip_all => 'one flavour is enough'
    if ($ENV{EXAM_FLAVOUR} // 'static') ne 'static';

my $root = $Exam::Process::Root;
my $dir = Exam::dir();
my $exam = 'storm';
my $clients = 16;
my $least = 200;
my %env;

$ENV{EXAM_VAR} = "$dir/var";
$ENV{PORT} = Exam::Process::free_port();


sub build { return Exam::run("$root/build.sh", @_) }


sub ctl {
    my ($rc, $out, $err) = Exam::run($env{EXAMCTL}, @_);

    BAIL_OUT("examctl @_: $out$err") if $rc != 0;
    return $out;
}


# One client: logs in once, uploads segment after segment, repeats each until
# it is acknowledged, as a real one does.  Writes a line an acknowledgement.

sub client {
    my ($student, $code, $stop) = @_;
    my $http = HTTP::Tiny->new(timeout => 5);
    my $json = JSON::PP->new;
    my ($token, $session, $n) = (undef, undef, 0);

    open my $log, '>', "$dir/acks.$student" or die "acks.$student: $!\n";
    $log->autoflush(1);

    until ($token) {
        my $r = $http->post("$env{URL}/api/v1/login", { content =>
            $json->encode({ exam => $exam, student => $student,
                            code => $code }) });

        if ($r->{success}) {
            my $answer = $json->decode($r->{content});
            ($token, $session) = @$answer{qw(token session)};
        } else {
            sleep 0.1;
        }
    }

    until (-e $stop) {
        my $body = pack('a64 L2', $student, $n, rand 2 ** 32)
                   x (100 + int rand 700);
        my $sha256 = sha256_hex($body);
        my $r;

        for ( ;; ) {
            $r = $http->put("$env{URL}/api/v1/recordings/screen/$n", {
                headers => { 'Authorization' => "Bearer $token",
                             'Content-Type' => 'video/webm' },
                content => $body });
            last if $r->{success};

            if ($r->{status} < 500 || -e "$stop.now") {
                print {$log} "refused $r->{status} $r->{content}\n"
                    if $r->{status} < 500;
                return;
            }

            sleep 0.05;
        }

        print {$log} "ack $session $n $sha256\n";
        $n++;

        # without a rest the worker's backlog grows, not the danger
        sleep 0.02;
    }
}


sub acks {
    my @lines;

    for my $file (glob "$dir/acks.*") {
        push @lines, split /\n/, Exam::slurp($file);
    }

    return @lines;
}


sub rows {
    my ($rc, $out) = Exam::run('mariadb',
        qw(--no-defaults -uroot --batch -N -S), $env{MYSQL_SOCKET}, '-e',
        'SELECT session, n, LOWER(HEX(sha256)), path, bytes FROM recordings'
        . " WHERE exam = '$exam'", $env{MYSQL_DATABASE});

    return $rc == 0 ? map { [split /\t/] } split /\n/, $out : ();
}


sub spool {
    my @files;

    find(sub { push @files, $File::Find::name
                   if -f && /\.(part|rec|info|tmp)$/ }, $env{SPOOL});
    return @files;
}


END { build('down') if $env{URL} }

my ($rc, $out, $err) = build('up');
BAIL_OUT("up failed: $out$err") if $rc != 0;
delete $ENV{PORT};

%env = map { split /=/, $_, 2 } split /\n/, (Exam::run('sh', '-c',
    "eval \"\$($root/build.sh env)\"; for i in URL EXAMCTL MYSQL_SOCKET"
    . ' MYSQL_DATABASE SPOOL RECORDINGS; do eval echo "$i=\$$i"; done'))[1];

ctl('exam', 'create', $exam, '--title', 'Storm', '--starts', 'now',
    '--ends', '+2h');
ctl('roster', 'generate', $exam, '--count', $clients, '--prefix', 'K',
    '--codes', "$dir/codes.csv");
ctl('exam', 'open', $exam);

my @codes = map { [(split /,/)[0, 2]] }
            grep { !/^student/ } split /\r?\n/, Exam::slurp("$dir/codes.csv");
is scalar @codes, $clients, 'candidates';

my @pids;

for my $i (1 .. $clients) {
    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        srand($i);
        eval { client(@{ $codes[$i - 1] }, "$dir/stop"); 1 }
            or warn "client $i: $@";
        require POSIX;
        POSIX::_exit(0);
    }

    push @pids, $pid;
}

my @victims = (
    [ 'nginx worker', sub {
        my $master = Exam::slurp("$ENV{EXAM_VAR}/run/nginx.pid") =~ s/\s//gr;
        (split ' ', Exam::slurp("/proc/$master/task/$master/children"))[0];
    } ],
    map { my ($name, $file) = @$_;
          [ $name, sub { Exam::slurp("$ENV{EXAM_VAR}/run/$file.pid")
                             =~ s/\s//gr } ] }
        [ 'nginx master', 'nginx' ], [ 'exam-worker', 'worker' ],
        [ 'Redis', 'redis' ], [ 'MariaDB', 'mysql' ],
);

for my $victim (@victims) {
    my ($name, $find) = @$victim;
    my $before = acks();

    ok +(Exam::wait_for { acks() >= $before + 2 * $clients } 60),
        "$name: uploads are under way";

    my $pid = $find->();
    ok kill('KILL', $pid), "$name is killed";
    Exam::wait_for { !-e "/proc/$pid/exe" || !readlink "/proc/$pid/exe" };

    ($rc, $out, $err) = build('up');
    is $rc, 0, "$name: up" or diag "$out$err";
}

ok +(Exam::wait_for { acks() >= $least } 120), "at least $least are there";

Exam::spew("$dir/stop", '');
my $end = time + 60;
Exam::wait_for { @pids = grep { waitpid($_, 1) == 0 } @pids; !@pids } 60;
Exam::spew("$dir/stop.now", '');
waitpid $_, 0 for @pids;

my @acks = grep { /^ack / } acks();
my @refused = grep { !/^ack / } acks();

is_deeply \@refused, [], 'nothing was refused';
cmp_ok scalar @acks, '>=', $least, 'acknowledgements';
note scalar(@acks), ' acknowledgements';

ok +(Exam::wait_for { rows() >= @acks && !spool() } 90), 'the spool drains'
    or diag join "\n", spool();

my (%row, @doubled, @missing, @wrong);

for my $row (rows()) {
    my $key = "$row->[0] $row->[1]";

    push @doubled, $key if $row{$key};
    $row{$key} = $row;
}

for my $ack (@acks) {
    my (undef, $session, $n, $sha256) = split ' ', $ack;
    my $row = $row{"$session $n"};

    if (!$row) {
        push @missing, $ack;
        next;
    }

    my $file = "$env{RECORDINGS}/$row->[3]";
    push @wrong, $ack
        if $row->[2] ne $sha256 || !-f $file || -s $file != $row->[4]
           || Digest::SHA->new(256)->addfile($file)->hexdigest ne $sha256;
}

is_deeply \@missing, [], 'every acknowledgement has its row';
is_deeply \@doubled, [], '... exactly one';
is_deeply \@wrong, [], '... and its file with the right hash';

my $files = 0;
find(sub { $files++ if -f && !/\.json$/ }, "$env{RECORDINGS}/$exam");
is $files, scalar(keys %row), 'no file without a row';

done_testing;
