# Attachments: uploads without a kind, numbered by the server; from the form to
# the row, through an emptied Redis, without Redis, and a number given twice.

use strict;
use warnings;

use lib 't/lib';
use Test::More;
use Digest::SHA qw(sha256_hex);

use Exam;
use Exam::Api qw(is_problem);
use Exam::Wire;

$SIG{PIPE} = 'IGNORE';      # of a Redis that was stopped

my $mysql = Exam::mysql();
my $dir = Exam::dir();
my $spool = Exam::spool();
my $code = $Exam::Api::Code;
my $path = '/api/v1/recordings';
my $worker;

sub ctl {
    my ($rc, $out, $err) = Exam::examctl(@_);
    is("$rc $err", '0 ', join ' ', 'examctl', grep { defined } @_[0, 1]);
    return $out;
}

sub work {
    $worker = Exam::worker(ini => "$dir/exam.ini");
    ok((Exam::wait_for { Exam::redis_cmd('EXISTS', 'exam:loaded') } 20),
       'Redis is filled');
}

Exam::ini(worker => { log => "$dir/worker.log" });
ctl('migrate');
ctl('exam', 'create', 30, '--title', 'x');
Exam::spew("$dir/in.csv", join "\n", 'student,name,code,group',
           map { sprintf 'S%03d,N,%s,g', $_, $code } 1 .. 4);
ctl('roster', 'import', 30, "$dir/in.csv", '--codes', "$dir/codes.csv");
ctl('exam', 'open', 30);
work();

my ($nginx, $api);

# a zone that knows nothing, over the same spool
sub serve {
    $nginx->stop('QUIT') if $nginx;
    $nginx = Exam::server(workers => 2, allow => [qr/exam redis/],
        http => Exam::http_lines(exam_heartbeat_rate => '0',
                                 exam_poll_rate => '0'));
    $api = Exam::Api->new($nginx);
}

serve();

my $login = $api->login('30', 'S001')->{json};
my $sid = $login->{session};


sub body {
    my ($data, $type, @fields) = @_;

    my $body = qq{--b\r\nContent-Disposition: form-data; name="file"; }
               . qq{filename="a b.txt"\r\n}
               . (defined $type ? "Content-Type: $type\r\n" : '')
               . "\r\n$data\r\n";

    while (my ($name, $value) = splice @fields, 0, 2) {
        $body .= "--b\r\nContent-Disposition: form-data; name=\"$name\"\r\n"
                 . "\r\n$value\r\n";
    }

    return "$body--b--\r\n";
}


sub attach {
    return Exam::request('POST', $nginx->url . $path, {
        Authorization => "Bearer $login->{token}",
        'Content-Type' => 'multipart/form-data; boundary=b' }, body(@_));
}


sub row {
    my ($id) = @_;

    my ($row) = $mysql->sql('SELECT kind, n, variant, bytes, content_type,'
        . " IFNULL(playable, 'null'), path FROM recordings WHERE upload_id ="
        . " '$id'");

    return $row;
}


sub state_of {
    my ($n) = @_;
    return $api->get("$path/file/$n", $login->{token})->{json}{state} // '';
}


# ---- any type, any size

my @sent = (['a note', 'text/plain; charset=utf-8'], ['', 'text/plain'],
            ["\0\1\2", 'application/x-unknown'], ['typeless', undef],
            ['bad type', 'no type'], ['a film', 'video/webm']);
my @types = ('text/plain; charset=utf-8', 'text/plain',
             'application/x-unknown', 'application/octet-stream',
             'application/octet-stream', 'video/webm');
my @id;

for my $i (0 .. $#sent) {
    my $res = attach(@{ $sent[$i] });

    is($res->{status}, 201, "attachment $i");
    is_deeply({ %{ $res->{json} }, id => 0 }, {
        id => 0, bytes => length $sent[$i][0], kind => 'file', n => $i,
        sha256 => sha256_hex($sent[$i][0]), state => 'received',
    }, 'its answer');
    push @id, $res->{json}{id};
}

for my $i (0 .. $#sent) {
    my $row;

    ok((Exam::wait_for { $row = row($id[$i]) } 20), "row of $i");
    is("@$row[0 .. 5]", join(' ', 'file', $i, 0, length $sent[$i][0],
                             $types[$i], 'null'),
       'kind, number, no variant, bytes, type, never probed');
    is(Exam::slurp("$dir/recordings/$row->[6]"), $sent[$i][0], 'its file');
}

ok((Exam::wait_for { state_of($#sent) eq 'stored' } 20), 'GET: stored');
is($api->get("$path/file/1", $login->{token})->{json}{bytes}, 0,
   'GET of an empty one');
is_problem($api->get("$path/file/99", $login->{token}), 404, 'not_found',
           'GET of none');


# ---- they are no segments

is_problem($api->req('PUT', "$path/file/0",
                     { Authorization => "Bearer $login->{token}",
                       'Content-Type' => 'video/webm' }, 'x'),
           404, 'not_found', 'PUT');
is_problem($api->req('POST', "$path/file/0/lost",
                     { Authorization => "Bearer $login->{token}" },
                     { reason => 'x' }), 404, 'not_found', 'lost');

my $me = $api->me($login->{token})->{json};
is_deeply([sort keys %{ $me->{sessions}[0]{segments} }], [qw(camera screen)],
          'me');
is_deeply($api->beat($login->{token})->{json}{stored},
          { screen => -1, camera => -1 }, 'stored');
is(attach('n is ignored', 'text/plain', n => 77)->{json}{n}, 6,
   'a number of the client\'s');


# ---- what is there is right, and can be made again

ok((Exam::wait_for { state_of(6) eq 'stored' } 20), 'all are stored');

my ($rc, $out) = Exam::examctl('audit', '30');
is($rc, 0, 'audit finds nothing wrong') or diag $out;
$mysql->sql('DELETE FROM recordings WHERE n = 1');
ctl('rebuild-index');
is((row($id[1]) // [])->[3], 0, 'the row of an empty one is made again');


# ---- an emptied Redis is told of them

$worker->stop;
Exam::redis_cmd('FLUSHALL');
work();
ok((Exam::wait_for { state_of(5) eq 'stored' } 20), 'they are known again');
ok((Exam::wait_for {
    (Exam::redis_cmd('HGET', 'exam:{30}:stored', "S001:$sid:file") // 0) == 7
} 20), 'and their next number');


# ---- a zone that knows nothing: nginx anew, with one in the spool

$worker->stop;
is(attach('eight', 'text/plain')->{json}{n}, 7, 'one that waits');
Exam::redis_cmd('HDEL', 'exam:{30}:stored', "S001:$sid:file");
serve();
ok((Exam::wait_for { $api->metric('sessions') }), 'the spool has been read');
is(attach('nine', 'text/plain')->{json}{n}, 8,
   'the number is above what the spool has');


# ---- Redis away

Exam::redis()->stop;

my $away = attach('away', 'text/plain');
is($away->{status}, 201, 'without Redis');
cmp_ok($away->{json}{n}, '>=', 9, 'by the zone alone');
is(state_of($away->{json}{n}), 'received', 'GET');

Exam::Process->redis;
work();
ok((Exam::wait_for { row($away->{json}{id}) } 20), 'it is stored then');
my $back = attach('back', 'text/plain')->{json}{n};
cmp_ok($back, '>', $away->{json}{n}, 'the next one is above it');


# ---- a number given twice

# at the latest by the worker's look: nginx may not have had Redis back yet

ok((Exam::wait_for {
    my @left = map { glob "$spool/$_/*" } qw(ready work);
    !@left && state_of($back) eq 'stored';
} 60), 'the spool is empty');
Exam::redis_cmd('HSET', 'exam:{30}:stored', "S001:$sid:file", 3);
serve();

my $twice = attach('another', 'text/plain')->{json};

is($twice->{n}, 3, 'by a cold zone and a Redis that has forgotten');
ok((Exam::wait_for { row($twice->{id}) } 20), 'it is stored');
is("@{ row($twice->{id}) }[1, 2]", '3 1', 'as a variant');
is("@{ row($id[3]) }[1, 2]", '3 0', 'beside the first');


# ---- so many at a time

{
    my @c = map { Exam::Wire->new($nginx) } 0 .. 5;
    my $active = sub { $api->status->{active_uploads} };

    for my $c (@c) {
        $c->head(POST => $path, [
            Authorization => "Bearer $login->{token}", 'Content-Length' => 999,
            'Content-Type' => 'multipart/form-data; boundary=b' ]);
        $c->send("--b\r\n");
    }

    ok((Exam::wait_for { $active->() == 6 } 20), 'two of each kind');
    is_problem(attach('x', 'text/plain'), 503, 'too_many_uploads',
               'one more, of whatever kind');

    $_->close for @c;
    ok((Exam::wait_for { $active->() == 0 } 20), 'they leave');
    is(attach('x', 'text/plain')->{status}, 201, 'and another may come');
}

done_testing();
