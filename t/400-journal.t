# The journal's records that come by the way: login, end, receipt.  None of
# them is waited for; all are there within moments.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256_hex);

use Exam;
use Exam::Api qw(claims_of);
use Exam::Journal;

my $spool = Exam::spool();

Exam::load_exam('30', students => {
    map { $_ => { code => $Exam::Api::Code } } 'S001' .. 'S009' });

is Exam::Journal::crc32c(join '', map { chr } 0 .. 31), '46dd794e',
    'the CRC is that of RFC 3720';

my $server = Exam::server();
my $api = Exam::Api->new($server);


# Login and end of a session, in order; at least $n.

sub of_session {
    my ($token, $n) = @_;

    my $claims = claims_of($token);
    my @records;

    Exam::wait_for {
        @records = grep { $_->{type} =~ /^(?:login|end)$/ }
                   Exam::Journal::records($spool, session => $claims->{sid});
        return @records >= $n;
    };

    delete @$_{qw(_file _offset)} for @records;
    return @records;
}


# ---- login, logout

my $before = Exam::now_ms();
my $token = $api->login('30', 'S001')->{json}{token};
my $claims = claims_of($token);
my ($login) = of_session($token, 1);

ok $login->{at} >= $before - 1000 && $login->{at} <= Exam::now_ms() + 1000,
    'a login has its time';
ok $login->{login_at} >= $before - 1000
   && $login->{login_at} <= Exam::now_ms() + 1000, 'twice';
delete @$login{qw(at login_at)};

is_deeply $login, { type => 'login', node => 't1', exam => '30',
                    student => 'S001', session => $claims->{sid},
                    gen => $claims->{gen}, ip => '127.0.0.1' },
    'and says who came from where';

is $api->logout($token)->{status}, 200, 'logout';

my @records = of_session($token, 2);

is $records[1]{type}, 'end', 'a logout is an end';
is $records[1]{ended}, 'logout', 'with its reason';
is $records[1]{gen}, $claims->{gen}, 'gen';
is $records[1]{login_at}, $records[0]{login_at}, 'and the time of its login';

is $api->logout($token)->{status}, 403, 'a second logout is refused';
$token = $api->login('30', 'S002')->{json}{token};
of_session($token, 1);
is scalar(Exam::Journal::records($spool, type => 'end',
                                 session => $claims->{sid})), 1,
    'and recorded by nothing';


# ---- replaced: by a login here, by one that only Redis knows, by a flush

my $second = $api->login('30', 'S002')->{json}{token};

is_deeply [map { "$_->{type} " . ($_->{ended} // '') } of_session($token, 2)],
    ['login ', 'end replaced'], 'a login ends the session before';

my $other = Exam::sid('30', 'S003', 77);

Exam::redis_cmd('HSET', 'exam:{30}:sessions', 'S003', JSON::PP->new->encode({
    sid => $other, gen => 5, node => 'n9', ip => '192.0.2.1', login_at => 1,
    ended => '' }));
$token = $api->login('30', 'S003')->{json}{token};
of_session($token, 1);

my @other = Exam::Journal::wait_records($spool, 1, session => $other);

is scalar @other, 1, 'a session of another node, too';
is $other[0]{ended}, 'replaced', 'its reason';

$token = $api->login('30', 'S004')->{json}{token};
of_session($token, 1);
$claims = claims_of($token);

Exam::redis_cmd('HSET', 'exam:{30}:sessions', 'S004', JSON::PP->new->encode({
    sid => Exam::sid('30', 'S004', 78), gen => $claims->{gen} + 1_000_000,
    node => 'n9', ip => '192.0.2.1', login_at => 1, ended => '' }));
$api->beat($token);
is_deeply [map { $_->{ended} // '' } of_session($token, 2)],
    ['', 'replaced'], 'what the flush answers ends a session';

$token = $api->login('30', 'S005')->{json}{token};
of_session($token, 1);

my $session = Exam::Api::session('30', 'S005');

Exam::redis_cmd('HSET', 'exam:{30}:sessions', 'S005',
                JSON::PP->new->encode({ %$session, ended => 'forced' }));
$api->beat($token);
is_deeply [map { $_->{ended} // '' } of_session($token, 2)],
    ['', 'forced'], 'with the reason that stands there';

$api->beat($token) for 1 .. 3;
ok $api->flushed('30', 'S005', 0), 'flushed again';
is scalar(of_session($token, 2)), 2, 'once';


# ---- receipts

$token = $api->login('30', 'S006')->{json}{token};
$claims = claims_of($token);

sub put {
    my ($n, $body) = @_;

    return $api->req('PUT', "/api/v1/recordings/screen/$n", {
        Authorization => "Bearer $token", 'Content-Type' => 'video/webm' },
        $body);
}

my @put = map { put($_, "segment $_") } 0 .. 2;

is_deeply [map { $_->{status} } @put], [201, 201, 201], 'three uploads';
is put(1, 'segment 1')->{status}, 200, 'one of them again';
is put(1, 'segment x')->{status}, 409, 'with other content';

my @receipts = Exam::Journal::wait_records($spool, 3, type => 'receipt');
my $last = $api->login('30', 'S007')->{json}{token};

of_session($last, 1);
is scalar(Exam::Journal::records($spool, type => 'receipt')), 3,
    'a receipt for each 201 and nothing else';

for my $i (0 .. 2) {
    my $at = delete $receipts[$i]{at};

    ok $at >= $before - 1000 && $at <= Exam::now_ms() + 1000, 'its time';
    delete @{ $receipts[$i] }{qw(_file _offset)};
    is_deeply $receipts[$i], {
        type => 'receipt', node => 't1', exam => '30', student => 'S006',
        session => $claims->{sid}, gen => $claims->{gen},
        upload => $put[$i]{json}{id}, kind => 'screen', n => $i, bytes => 9,
        sha256 => sha256_hex("segment $i") }, 'what was received';
}


# ---- files

my @files = glob "$spool/journal/*.log";
my ($boot) = Exam::slurp('/proc/sys/kernel/random/boot_id') =~ /(\S+)/;
my ($worker) = $server->workers;

is_deeply \@files, ["$spool/journal/$boot-$worker-0.log"],
    'one file a process, named after boot, pid and number';
is sprintf('%o', (stat $files[0])[2] & 07777), '640', 'with mode 640';
is -s "$spool/journal/reserve", 256 * 1024, 'the reserve is there';
is_deeply [Exam::Journal::bad($spool)], [], 'no line is no record';

is $api->metric('journal_records_total'),
    scalar(Exam::Journal::records($spool)), 'records are counted';
is $api->metric('journal_bytes_total'), -s $files[0], 'bytes are counted';
is $api->metric('journal_errors_total'), 0, 'no errors';
ok $api->metric('journal_sync_seconds_count') > 0, 'syncs are timed';
ok !(grep { $_ eq 'journal' } @{ $api->status->{degraded} }), 'not degraded';


# ---- at the end of a process nothing stays in memory

$token = $api->login('30', 'S008')->{json}{token};
$api->logout($token);
is $server->stop('TERM'), 0, 'stopped at once';
is_deeply [map { $_->{type} } of_session($token, 2)], ['login', 'end'],
    'the last records are there';

$server = Exam::server();
$api = Exam::Api->new($server);
$token = $api->login('30', 'S009')->{json}{token};
is $server->stop('QUIT'), 0, 'stopped gracefully';
is_deeply [map { $_->{type} } of_session($token, 1)], ['login'],
    'those, too';
ok -e $files[0], 'old files stay';


# ---- a file that somebody has removed under the process that writes it

$server = Exam::server();
$api = Exam::Api->new($server);
($worker) = $server->workers;

of_session($api->login('30', 'S008')->{json}{token}, 1);
is unlink(glob "$spool/journal/$boot-$worker-*.log"), 1, 'a journal is gone';
$token = $api->login('30', 'S009')->{json}{token};
is_deeply [map { $_->{type} } of_session($token, 1)], ['login'],
    'what comes then is in a new one';

done_testing;
