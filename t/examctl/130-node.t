# A whole node: receipts as nginx writes them, and an exam that goes on after
# its database was lost.

use strict;
use warnings;

use lib 't/lib', 't/worker/lib', 't/examctl/lib';

use Evidence;
use Exam::Wire;
use Spool ();
use Test::More;

sub wait_for(&;$) { return &Exam::Process::wait_for(@_) }

my $dir = Exam::dir();
my $code;


sub ok_ctl {
    my (@args) = @_;

    my $got = run_ctl(@args);
    is("$got->{rc}$got->{err}", '0', "examctl $args[0]");
    return $got->{out};
}


sub put {
    my ($url, $token, $kind, $n, $body) = @_;

    my $res = Exam::request('PUT', "$url/api/v1/recordings/$kind/$n",
        { 'Content-Type' => 'video/webm', Authorization => "Bearer $token" },
        $body);
    return $res->{status};
}


sub beat {
    my ($url, $token) = @_;

    return Exam::request('POST', "$url/api/v1/heartbeat",
        { Authorization => "Bearer $token" }, '{"seq":1}');
}


$Spool::Redis = Exam::redis();
$Spool::Mysql = Exam::mysql();
Exam::ini(worker => { probe => 'off', log => "$dir/worker.log" });

ok_ctl('migrate');
ok_ctl('exam', 'create', '30', '--title', 'T', '--starts', 'now', '--ends',
       '+3h');
ok_ctl('roster', 'generate', '30', '--count', 2, '--codes', "$dir/codes.csv");
ok_ctl('exam', 'open', '30');

($code) = Exam::slurp("$dir/codes.csv") =~ /^s?001,.*?\b((?:\w{4}-){3}\w{4})/mi
    or diag(Exam::slurp("$dir/codes.csv"));
my ($student) = Exam::slurp("$dir/codes.csv") =~ /^(\w+),.*\Q$code\E/m;

my $nginx = Exam::server();
my $worker = Exam::Process->worker("$dir/exam.ini");
my $url = $nginx->url;
my $login;

ok((wait_for {
    $login = Exam::request('POST', "$url/api/v1/login", {},
        qq({"exam":"30","student":"$student","code":"$code"}));
    return $login->{status} == 200;
} 20), 'login');

my $token = $login->{json}{token};
my $stored = 0;

for my $n (0 .. 9) {
    $stored += put($url, $token, 'screen', $n, "segment $n") == 201;
}

is($stored, 10, 'ten segments are acknowledged');
is(put($url, $token, 'screen', 3, 'segment 3'), 200, 'one of them again');
is(put($url, $token, 'screen', 4, 'other'), 409, 'another with other content');

my $seen = 0;

ok((wait_for {
    my $got = audit('30');
    $seen += $got->{unexplained};
    return $got->{acknowledged} == 10 && $got->{stored} == 10;
} 20), 'the audit finds ten receipts, all stored');
is($seen, 0, 'and nothing unexplained on the way');
is(audit('30')->{rows_without_receipt}, 0, 'each row has its receipt');


# ---- the database is lost, and Redis with it

my $recordings = table('recordings', 'id');

is(beat($url, $token)->{status}, 200, 'a heartbeat');
ok((wait_for { table('sessions') }), 'the session is in MySQL');

# what nginx still wrote at its end is in MySQL when the worker leaves
$nginx->stop;
$worker->stop;
ok_ctl('backup', "$dir/backup");
my %was = map { $_ => table($_) } qw(exams students sessions audit_log);

$Spool::Mysql->sql('DROP DATABASE exam');
Exam::redis_cmd('FLUSHALL');
unlink Exam::keys_file() or die;

is(run_ctl('audit', '30')->{rc}, 5, 'there is nothing to audit');

ok_ctl('migrate');
ok_ctl('restore', "$dir/backup");
ok_ctl('rebuild-index');

is(table('recordings', 'id'), $recordings, 'recordings as they were');
is(table($_), $was{$_}, "$_, too") for sort keys %was;
figures_are('the audit agrees', { acknowledged => 10, stored => 10 });

$worker = Exam::Process->worker("$dir/exam.ini");
$nginx = Exam::server();
$url = $nginx->url;

ok((wait_for { Exam::redis_cmd('EXISTS', 'exam:loaded') } 20),
   'exam-worker has filled Redis');
is(beat($url, $token)->{status}, 200, 'a token of before is valid');
is(put($url, $token, 'screen', 10, 'segment 10'), 201,
   'the candidate goes on');
ok((wait_for { audit('30')->{stored} == 11 } 20), 'and it is stored');
is(audit('30')->{unexplained}, 0, 'nothing is unexplained');

my $again;
ok((wait_for {
    $again = Exam::request('POST', "$url/api/v1/login", {},
        qq({"exam":"30","student":"$student","code":"$code"}));
    return $again->{status} == 200;
} 20), 'the access code of before is valid');
cmp_ok($again->{json}{gen}, '>', $login->{json}{gen}, 'in a later session');

done_testing();
