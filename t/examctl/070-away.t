# MySQL or Redis away: what is done, what is said, and that nothing is half
# done.

use strict;
use warnings;

use lib 't/lib', 't/examctl/lib';

use Ctl;
use Test::More;

stack();

my $dir = dir();
my $noredis = spew("$dir/noredis.ini", ini(redis => { socket => 'none' }));
my $nomysql = spew("$dir/nomysql.ini", ini(mysql => { socket => 'none' }));
my $in_mysql = qr/is in MySQL, but Redis is away.*exam-worker will load it/;


# ---- MySQL away: nothing happens

fails(5, qr/MySQL: /, @$_, { config => $nomysql })
    for ['migrate'], ['exam', 'list'], ['exam', 'show', 30],
        ['exam', 'create', 30, '--title', 'x'], ['exam', 'open', 30],
        ['exam', 'close', 30], ['students', 30], ['recordings', 30],
        ['student', 'set', 30, 's1', '--extra', 1],
        ['roster', 'generate', 30, '--count', 1, '--codes', "$dir/c"];

ok(!-e "$dir/c", 'no codes');
is(redis('DBSIZE'), 0, 'nothing in Redis');


# ---- Redis away: MySQL has it, exit code 5

fails(5, $in_mysql, 'exam', 'create', 30, '--title', 'x',
      { config => $noredis });
fails(5, $in_mysql, 'roster', 'generate', 30, '--count', 5, '--codes',
      "$dir/codes.csv", { config => $noredis });

my $codes = () = slurp("$dir/codes.csv") =~ /\n/g;
is($codes, 6, 'the codes of a roster that MySQL has are there');

fails(5, $in_mysql, 'exam', 'open', 30, { config => $noredis });
fails(5, $in_mysql, 'student', 'set', 30, 's002', '--extra', 60,
      { config => $noredis });
fails(5, $in_mysql, 'exam', 'pause', 30, { config => $noredis });

is_deeply([sql("SELECT state, paused_at > 0 FROM exams")], [['open', 1]],
          'MySQL has the state');
is(value('SELECT COUNT(*) FROM students'), 5, 'the roster');
is(value("SELECT extra_s FROM students WHERE student = 's002'"), 60,
   'and the flags');
is(redis('DBSIZE'), 0, 'Redis has nothing');

ok_ctl('exam', 'show', 30, { config => $noredis });
ok_ctl('students', 30, { config => $noredis });

# Redis is back: one change brings all
ok_ctl('exam', 'resume', 30);
is(redis('HLEN', key(30, 'roster')), 6, 'the whole roster');
like(redis('HGET', key(30, 'flags'), 's002'), qr/"extra_s":60/, 'the flags');
is(member(30)->{state}, 'open', 'the state');
is(redis('SISMEMBER', 'exam:active', 30), 1, 'served');


# ---- a Redis that answers, but not with yes

{
    redis('CONFIG', 'SET', 'maxmemory', 1);
    fails(5, qr/is in MySQL, but Redis is away \(.*OOM/, 'exam', 'pause', 30);
    redis('CONFIG', 'SET', 'maxmemory', 0);
    ok_ctl('exam', 'resume', 30);
}


# ---- another program holds the exam

{
    # killed later, and complains then
    open my $holder, '-|', "exec mariadb --no-defaults -uroot -S "
        . Ctl::mysql()->socket . " --unbuffered -N -e "
        . "\"SELECT GET_LOCK('exam-live:30', 0); DO SLEEP(60)\" 2>/dev/null"
        or die;
    <$holder>;

    my $version = value('SELECT version FROM exams');

    fails(4, qr/another program is changing this exam/, 'exam', 'close', 30);
    is(value('SELECT version FROM exams'), $version, 'nothing was changed');

    sql("KILL " . value("SELECT id FROM information_schema.processlist "
                        . "WHERE info LIKE '%SLEEP(60)%' AND info NOT LIKE "
                        . "'%processlist%'"));
    { no warnings; close $holder }

    ok_ctl('exam', 'close', 30);
}


# ---- a killed connection in a transaction: the codes are kept, not published

{
    ok_ctl('exam', 'create', 31, '--title', 'x');

    # a row lock stops the roster's transaction at its audit row
    open my $holder, '|-', 'mariadb', '--no-defaults', '-uroot', '-S',
        Ctl::mysql()->socket, 'exam' or die;
    $holder->autoflush(1);
    print $holder "LOCK TABLES audit_log WRITE;\n";

    wait_for { value("SELECT COUNT(*) FROM information_schema.processlist "
                     . "WHERE command = 'Sleep' AND db = 'exam'") };

    my $pid = fork // die;

    if ($pid == 0) {
        my $got = ctl('roster', 'generate', 31, '--count', 3, '--codes',
                      "$dir/lost.csv");
        spew("$dir/lost.out", "$got->{rc} $got->{err}");
        POSIX::_exit(0);
    }

    my $id = wait_for {
        value("SELECT id FROM information_schema.processlist WHERE info LIKE "
              . "'INSERT INTO audit_log%'")
    } 20;

    ok($id, 'the transaction waits');
    sql("KILL $id");
    waitpid $pid, 0;
    close $holder;

    like(slurp("$dir/lost.out"), qr/\A5 .*MySQL: .*not known whether/s,
         'it is said that nobody knows');

    my @kept = glob "$dir/lost.csv.*.new";
    is(scalar @kept, 1, 'the codes are kept under their temporary name');
    like(slurp("$dir/lost.out"), qr/\Q@kept\E/, 'which is told');
    ok(!-e "$dir/lost.csv", 'and not published');
    is(value("SELECT COUNT(*) FROM students WHERE exam = '31'"), 0,
       'MySQL has rolled back');
}

# ---- a Redis with a password, and a database of its own

my $redis = Exam::Process->redis(dir => "$dir/locked");
my $client = Exam::Redis->new($redis->socket);

$client->cmd('CONFIG', 'SET', 'requirepass', 'hush');
spew("$dir/right", "hush\n");
spew("$dir/wrong", "guess\n");

sub locked {
    my ($name, %more) = @_;

    return spew("$dir/$name.ini",
                ini(redis => { socket => $redis->socket, %more }));
}

my $with = locked('with', password_file => "$dir/right", db => 2);

ok_ctl('exam', 'create', 41, '--title', 'Locked', { config => $with });
$client->cmd('AUTH', 'hush');
is($client->cmd('EXISTS', key(41)), 0, 'not in the first database');
$client->cmd('SELECT', 2);
is($client->cmd('HGET', key(41), 'title'), 'Locked', 'but in its own');

fails(5, qr/is in MySQL, but Redis is away.*WRONGPASS/, 'exam', 'create', 42,
      '--title', 'x', { config => locked('guess',
                                         password_file => "$dir/wrong") });
fails(5, qr/is in MySQL, but Redis is away.*NOAUTH/, 'exam', 'create', 43,
      '--title', 'x', { config => locked('none') });
fails(5, qr/is in MySQL, but Redis is away.*DB index/, 'exam', 'create', 44,
      '--title', 'x', { config => locked('far', db => 99,
                                         password_file => "$dir/right") });

done_testing();
